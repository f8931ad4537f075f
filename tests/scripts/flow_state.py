# args: {}
# result: [null, {"seen": [1, 2]}, 40]
import wmill
import os


def main():
    client = wmill.Windmill()
    before = client.get_flow_user_state("progress")
    client.set_flow_user_state("progress", {"seen": [1, 2]})
    client.set_progress(40)
    return [before, client.get_flow_user_state("progress"), client.get_progress(os.environ["WM_JOB_ID"])]
