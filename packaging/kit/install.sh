#!/bin/sh
# Installs edge-detect from the wheels beside this script. It asks no network and checks every file first.
set -eu
umask 022

usage() {
    cat <<'TEXT'
Usage: ./install.sh [--service] FOLDER

Installs edge-detect into FOLDER, such as /opt/edge-detect; FOLDER/bin/edge-detect is then the program.
An earlier installation there is replaced.

  --service   also install the systemd unit and /etc/edge-detect/edge-detect.toml (root)
  --help      show this text

Environment: PYTHON names the Python to use (python3); DESTDIR is put in front of /etc.
TEXT
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

service=
folder=
for word in "$@"; do
    case $word in
        --service) service=yes ;;
        --help) usage; exit 0 ;;
        -*) fail "unknown option $word; see ./install.sh --help" 2 ;;
        *) [ -z "$folder" ] || fail 'one folder only; see ./install.sh --help' 2
           folder=$word ;;
    esac
done
[ -n "$folder" ] || { usage >&2; exit 2; }
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
cd -- "$(dirname -- "$0")"

# --- nothing is installed before all of this holds

sha256sum --check --strict --quiet SHA256SUMS ||
    fail 'a file is damaged or was changed; copy the archive again'
# pip would also take a wheel that is there but not in the list.
listed=$(cut -c 67- SHA256SUMS | LC_ALL=C sort)
there=$(find . -type f ! -path ./SHA256SUMS | cut -c 3- | LC_ALL=C sort)
[ "$listed" = "$there" ] || fail 'there are files that SHA256SUMS does not list; unpack the archive again'

read -r version wanted_python wanted_system <TARGET
python=${PYTHON:-python3}
found=$("$python" -c 'import sys, sysconfig; print("%d.%d" % sys.version_info[:2], sysconfig.get_platform())') ||
    fail "cannot run $python; install Python $wanted_python"
[ "$found" = "$wanted_python $wanted_system" ] ||
    fail "this kit is for Python $wanted_python on $wanted_system, but $python is $found; name another Python with PYTHON="

if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ] && [ -n "$(ls -A "$folder")" ]; then
    fail "$folder holds something else; name a new folder"
fi
if [ -n "$service" ]; then
    [ "$(id -u)" = 0 ] || fail '--service needs root' 2
    case $folder in
        *[!A-Za-z0-9._/+-]*) fail "a service needs a folder without special characters, unlike $folder" 2 ;;
        /home/* | /root/* | /tmp/*) [ -n "${DESTDIR:-}" ] ||
            fail "the service cannot see $folder; choose one such as /opt/edge-detect" 2 ;;
    esac
fi

# --- install

[ -e "$folder" ] || trap 'rm -rf -- "$folder"' EXIT
trap 'exit 130' INT TERM
# pip comes from its wheel, so that Debian's python3-venv is not needed; no setting of this machine reaches it.
"$python" -m venv --without-pip "$folder"
pip=$(echo wheels/pip-*.whl)
PIP_CONFIG_FILE=/dev/null "$folder/bin/python" -I "$pip/pip" --isolated install \
    --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir \
    --no-index --find-links wheels --force-reinstall "edge-detect[influx,signing]==$version"
"$folder/bin/edge-detect" verify >/dev/null || fail 'the installed program does not pass its self-test'
trap - EXIT

printf 'edge-detect %s is in %s\n\n' "$version" "$folder"
if [ -n "$service" ]; then
    etc=${DESTDIR:-}/etc
    mkdir -p "$etc/systemd/system" "$etc/edge-detect"
    sed "s|/opt/edge-detect|$folder|g" edge-detect.service >"$etc/systemd/system/edge-detect.service"
    if [ ! -e "$etc/edge-detect/edge-detect.toml" ]; then
        cp edge-detect.toml "$etc/edge-detect/edge-detect.toml"
    fi
    if [ -z "${DESTDIR:-}" ] && [ -d /run/systemd/system ]; then
        systemctl daemon-reload
    fi
    cat <<TEXT
Next: edit $etc/edge-detect/edge-detect.toml, then
  systemctl enable --now edge-detect
  journalctl -u edge-detect -f
TEXT
else
    cat <<TEXT
Try it:      $folder/bin/edge-detect run --source simulate
Prove it:    $folder/bin/edge-detect verify BUNDLE
Measure it:  $folder/bin/edge-detect bench BUNDLE
As a service: run this script again with --service
TEXT
fi
