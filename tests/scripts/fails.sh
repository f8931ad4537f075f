# args: {}
# error: exit code 3
echo "about to fail"
exit 3
