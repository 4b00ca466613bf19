#!/usr/bin/env bash
# Measures the gateway against nginx and haproxy as plain reverse proxies and prints which bars are reached.
#
#   RINGWAY_BIN=target/release/ringway LOADTEST_BIN=target/release/loadtest loadtest/compare.sh [PART…]
#
# Parts (all, in this order, when none is named): idle saturated rates streams body translation memory.
# ROUNDS (5), ROUND (3s) and OUT (a new directory under TMPDIR) may be set. Everything stays on loopback, ports 9200 to 9204.
# Without RINGWAY_BIN only the two proxies are measured.
set -euo pipefail

LOADTEST_BIN=$(realpath "${LOADTEST_BIN:-target/release/loadtest}")
RINGWAY_BIN=${RINGWAY_BIN:+$(realpath "$RINGWAY_BIN")}
ROUNDS=${ROUNDS:-5}
ROUND=${ROUND:-3s}
OUT=${OUT:-$(mktemp -d)}
mkdir -p "$OUT"
OUT=$(realpath "$OUT")
PARTS=${*:-idle saturated rates streams body translation memory}
KEY=rw-loadtest-0123456789
MOCK=127.0.0.1:9200 NGINX=127.0.0.1:9201 HAPROXY=127.0.0.1:9202 RINGWAY=127.0.0.1:9203 ADMIN=127.0.0.1:9204

ulimit -n "$(ulimit -H -n)"
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
}
trap cleanup EXIT

# Starts "$@" in the background with its output in $OUT/NAME.log; its pid is then in $started.
start() {
    local name=$1
    shift
    (cd "$OUT" && exec "$@") >"$OUT/$name.out" 2>"$OUT/$name.err" &
    started=$!
    pids+=("$started")
}

await() {
    local host=${1%:*} port=${1#*:}
    for _ in $(seq 100); do
        if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "nothing listens on $1 after 10 s; see $OUT" >&2
    exit 1
}

start mock "$LOADTEST_BIN" mock --listen "$MOCK" --body-bytes 830
await "$MOCK"
"$LOADTEST_BIN" proxies --upstream "$MOCK" --dir "$OUT" --nginx "$NGINX" --haproxy "$HAPROXY" >/dev/null
start nginx "$(command -v nginx)" -c "$OUT/nginx.conf"
targets=(--target "direct=http://$MOCK" --target "nginx=http://$NGINX" --pid "nginx=$started")
start haproxy "$(command -v haproxy)" -db -f "$OUT/haproxy.cfg"
targets+=(--target "haproxy=http://$HAPROXY" --pid "haproxy=$started")
await "$NGINX"
await "$HAPROXY"

ringway_pid=
if [ -n "$RINGWAY_BIN" ]; then
    cat >"$OUT/ringway.yaml" <<YAML
providers:
  mock: {like: openai, base_url: "http://$MOCK/v1", keys: [upstream-key-0000001], usage: tap}
  claude: {like: anthropic, base_url: "http://$MOCK", keys: [upstream-key-0000001]}
virtual_keys:
  load: {key: $KEY}
YAML
    # Unpinned, as nginx and haproxy are: the load generator shares the cores. The access log is on and goes to /dev/null:
    # it costs what it costs, but no disk.
    (cd "$OUT" && exec "$RINGWAY_BIN" --config ringway.yaml --listen "$RINGWAY" --admin "$ADMIN" --threads 2 --pin off --log-format json) >/dev/null 2>"$OUT/ringway.err" &
    ringway_pid=$!
    pids+=("$ringway_pid")
    await "$RINGWAY"
    targets+=(--target "ringway=http://$RINGWAY" --pid "ringway=$ringway_pid")
fi

# compare NAME MODEL FLAGS…: one comparison over all targets; the gateway is asked for mock/MODEL.
compare() {
    local name=$1 model=$2
    shift 2
    local models=()
    if [ -n "$ringway_pid" ]; then models=(--model-of "ringway=mock/$model"); fi
    timeout 600 "$LOADTEST_BIN" compare --title "$name" "${targets[@]}" --model "$model" "${models[@]}" --key "$KEY" --rounds "$ROUNDS" \
        --round-duration "$ROUND" --html "$OUT/$name.html" --json "$OUT/$name.json" "$@"
    echo
}

# alone NAME FLAGS…: the gateway by itself.
alone() {
    local name=$1
    shift
    if [ -z "$ringway_pid" ]; then return; fi
    timeout 600 "$LOADTEST_BIN" compare --title "$name" --key "$KEY" --json "$OUT/$name.json" "$@"
    echo
}

idle() { alone "$1" --target "ringway=http://$RINGWAY" --pid "ringway=$ringway_pid" --model mock/bench --rounds 1 --round-duration 2s --rate 1 --connections 1 "${@:2}"; }

# Two models of one gateway: same dialect, and chat to the other dialect.
translation() {
    local name=$1 model=$2
    shift 2
    alone "$name" --target "same=http://$RINGWAY" --pid "same=$ringway_pid" --model-of "same=mock/$model" \
        --target "translated=http://$RINGWAY" --pid "translated=$ringway_pid" --model-of "translated=claude/$model" \
        --base same --rounds "$ROUNDS" --round-duration "$ROUND" "$@"
}

for part in $PARTS; do
    case $part in
    idle) idle idle ;;
    saturated) compare saturated bench --rate max --connections 64 ;;
    rates)
        compare rate-1000 bench --rate 1000 --connections 64
        compare rate-5000 bench --rate 5000 --connections 64
        ;;
    streams)
        compare streams-64 bench-gap-20ms --streams 64
        ROUNDS=2 ROUND=8s compare streams-1000 bench-gap-100ms --streams 1000 --timeout 30s
        ;;
    body) compare body-100k bench --rate 1000 --connections 64 --body-bytes 100000 ;;
    translation)
        translation translation-whole bench --rate max --connections 64
        translation translation-stream bench-gap-20ms --streams 64
        ;;
    memory)
        idle idle-10000 --idle 10000
        # A shard looks for unused memory every 5 s.
        sleep 12
        idle idle-after
        ;;
    *)
        echo "unknown part $part" >&2
        exit 2
        ;;
    esac
done
"$LOADTEST_BIN" bars --dir "$OUT"
echo "pages, figures and logs: $OUT"
