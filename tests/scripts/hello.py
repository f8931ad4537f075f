# args: {"name": "Ada", "age": 36}
# result: "Ada is 36"
def main(name: str, age: int = 0, nickname: str = "none"):
    return f"{name} is {age}"
