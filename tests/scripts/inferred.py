# args: {"text": "a: [1, two]"}
# result: {"a": [1, "two"]}
import yaml


def main(text: str):
    return yaml.safe_load(text)
