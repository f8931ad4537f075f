# args: {"name": "x"}
# result: {"name": "x", "workspace": "main"}
name="$1"
echo "{\"name\": \"$name\", \"workspace\": \"$WM_WORKSPACE\"}" > result.json
echo "only a log line"
