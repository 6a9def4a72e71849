#!/bin/sh
# The timer and the services under systemd itself: boots Debian 12 in a container, installs the wheel, looks.
# Needs root, mmdebstrap and systemd-container; fetches Debian's packages. About three minutes: sh tests/booted.sh
set -eu
cd "$(dirname "$0")/.."
box=$(mktemp -d)
tree=$box/tree
stop() {
  if [ -s "$box/pid" ]; then kill "$(cat "$box/pid")" 2>/dev/null || true; wait || true; fi
  rm -rf "$box"
}
trap stop EXIT

mmdebstrap --quiet --mode=root --variant=minbase \
  --include=systemd,systemd-sysv,dbus-user-session,libpam-systemd,python3-venv,iproute2,curl,openssl \
  bookworm "$tree"
.venv/bin/pip --quiet wheel --no-deps --wheel-dir "$tree/srv" .
.venv/bin/pip --quiet download --require-hashes --only-binary :all: -r requirements.lock -d "$tree/srv"
cp docs/examples/*.service "$tree/etc/systemd/system/"

cat > "$tree/srv/setup" <<'INSIDE'
set -eu
python3 -m venv /opt/callreach/.venv
/opt/callreach/.venv/bin/pip --quiet install --no-index --find-links /srv 'callreach[collector]'
PATH=/opt/callreach/.venv/bin:$PATH
ip addr add 203.0.113.5/32 dev lo
mkdir -p /etc/callreach
probe collect --example > /etc/callreach/collector.toml
probe far-end --example > /etc/callreach/far-end.toml
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 730 -subj /CN=far-end \
  -addext subjectAltName=IP:203.0.113.5 -keyout /etc/callreach/key.pem -out /etc/callreach/certificate.pem 2>/dev/null
systemctl enable --quiet --now callreach-collector callreach-far-end
useradd -m volunteer
loginctl enable-linger volunteer
sleep 2
INSIDE

cat > "$tree/srv/services" <<'INSIDE'
set -eu
for unit in callreach-collector callreach-far-end; do kill -9 "$(systemctl show -P MainPID $unit)"; done
sleep 10
for unit in callreach-collector callreach-far-end; do
  echo "$unit after kill -9: $(systemctl is-active $unit), started again $(systemctl show -P NRestarts $unit) times"
done
curl -sf http://127.0.0.1:8480/healthz && echo
curl -skf -o /dev/null https://203.0.113.5/ && echo "the far end's page is there"
INSIDE

cat > "$tree/srv/timer" <<'INSIDE'
set -eu
PATH=/opt/callreach/.venv/bin:$PATH
probe consent --agree >/dev/null
probe schedule install --every 1h --yes >/dev/null
# Not in an hour but now: the rest of the unit is as it was installed.
mkdir -p ~/.config/systemd/user/callreach.timer.d
printf '[Timer]\nOnCalendar=\nOnCalendar=*:*:0/15\nRandomizedDelaySec=0\nAccuracySec=1s\n' \
  > ~/.config/systemd/user/callreach.timer.d/soon.conf
systemctl --user daemon-reload
systemctl --user restart callreach.timer
sleep 60
cat ~/.local/share/callreach/timer/log.jsonl
grep -q '"what": "measured"' ~/.local/share/callreach/timer/log.jsonl
probe schedule status
probe schedule remove
! systemctl --user is-active callreach.timer
! ls ~/.config/systemd/user/callreach.service ~/.config/systemd/user/callreach.timer 2>/dev/null
INSIDE

# Its own second tree of control groups, also where the host still has the first kind.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --boot --register=no --keep-unit --private-network \
  --console=pipe -D "$tree" >/dev/null &
echo $! > "$box/pid"
sleep 15
first=$(pgrep -P "$(cat "$box/pid")" -o systemd)
inside() { nsenter -t "$first" -m -u -i -n -p -C -r -w env -i PATH=/usr/bin:/bin:/usr/sbin:/sbin "$@"; }
inside sh /srv/setup
inside sh /srv/services
inside su -l volunteer -c 'sh /srv/timer'
echo "all as it should be"
