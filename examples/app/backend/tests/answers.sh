# shellcheck shell=sh
# answers PATH TEXT: a GET of PATH succeeds and its answer holds TEXT.
answers() {
  answer=$(curl -sS --max-time 10 -w ' (status %{http_code})' "$API_URL$1" 2>&1) || {
    echo "FAILED $1: $answer"
    exit 1
  }
  case $answer in
    *"$2"*"(status 200)") echo "ok     $1" ;;
    *)
      echo "FAILED $1: $2 was expected, the answer was $answer"
      exit 1
      ;;
  esac
}

# await PATH TEXT: the same, after at most 10 s of connections being refused.
await() {
  curl -sS --max-time 10 --retry 50 --retry-delay 0 --retry-max-time 10 --retry-connrefused \
    -o /dev/null "$API_URL$1" 2>/dev/null || true
  answers "$1" "$2"
}
