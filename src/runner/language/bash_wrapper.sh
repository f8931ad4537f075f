# Takes one job a line on the channel (standard input at the start) and runs each in a subshell that is
# a process group of its own, so that nothing of a job outlives it. Answers +<group> and then =<exit code>.
exec {windsock_channel}<&0 0</dev/null {windsock_errors}>&2 2>/dev/null
while IFS= read -r -u "$windsock_channel" windsock_line; do
  case $windsock_line in
    # Long ones come as a file: bash reads a channel byte by byte.
    file) windsock_line=$(<../request) ;;
  esac
  case $windsock_line in
    env\ *)
      eval "${windsock_line#env }"
      continue
      ;;
  esac
  set -m
  (
    exec 2>&"$windsock_errors" {windsock_channel}<&- {windsock_errors}>&-
    set +m
    windsock_job=$windsock_line
    unset windsock_channel windsock_errors windsock_line windsock_status
    SECONDS=0
    eval "unset windsock_job; $windsock_job"
  ) &
  set +m
  printf '+%s\n' "$!" >&"$windsock_channel"
  # Without job control: until it has ended, not until it was stopped; again where a stop was noticed before. (`wait -f`
  # would say so, too, but in bash 5.2 it may turn in circles for ever when the job ends just then.)
  wait "$!"
  windsock_status=$?
  while kill -0 "$!"; do
    wait "$!"
    windsock_status=$?
  done
  kill -KILL -- "-$!"
  printf '=%s\n' "$windsock_status" >&"$windsock_channel"
done
