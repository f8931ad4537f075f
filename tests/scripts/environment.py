# args: {}
# result: ["main", "f/docs/environment_py", true, true]
import os


def main():
    return [os.environ["WM_WORKSPACE"], os.environ["WM_JOB_PATH"], len(os.environ["WM_JOB_ID"]) == 36,
            os.environ["WM_STATE_PATH"] == os.environ["WM_JOB_PATH"] + "/user"]
