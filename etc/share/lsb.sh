# What the init scripts of Libra's daemons have in common: sourced by them, POSIX shell.
# Exit codes are those of LSB 5.0, chapter 22, and of `start` those of the daemon itself.
#
# A daemon runs when the lock on its pid file is held, which the kernel lets go of however the
# daemon ends. So a stale file, or one whose number meanwhile is a stranger's, misleads nobody,
# and no process is signalled that does not hold the lock.
#
# The script sets NAME, DAEMON, OPTIONS (its command line), PIDFILE, CAPABILITIES (as setpriv
# takes them: "+net_bind_service"; empty for none) and RUNAS.

CONFIG=${CONFIG-/etc/libra.cfg}
RUNAS=libra
STOP_SECONDS=90

[ ! -r /etc/default/libra ] || . /etc/default/libra
[ ! -r "/etc/default/$NAME" ] || . "/etc/default/$NAME"

say() { printf '%s: %s\n' "$NAME" "$*"; }
fail() {
    code=$1
    shift
    say "$*" >&2
    exit "$code"
}

# Whether a living daemon holds the lock; its number is in $pid then.
running() {
    pid=
    # Opened to be read alone, or flock would make a file that vanishes just now.
    if { flock --nonblock --shared 9; } 2>/dev/null 9<"$PIDFILE"; then
        return 1
    fi
    { read -r pid || true; } 2>/dev/null <"$PIDFILE" || true
    case $pid in
    '' | *[!0-9]*) return 1 ;;
    esac
}

# Waits until the daemon has ended, at most $1 seconds.
ended() {
    tenths=$(($1 * 10))
    while running; do
        [ "$tenths" -gt 0 ] || return 1
        tenths=$((tenths - 1))
        sleep 0.1
    done
}

# The user and the folders: /run is empty after a reboot, and here is no systemd-tmpfiles.
prepare() {
    [ "$(id -u)" -eq 0 ] || fail 4 "only root can do this"
    [ -x "$DAEMON" ] || fail 5 "$DAEMON is not installed"
    if ! getent passwd "$RUNAS" >/dev/null; then
        useradd --system --user-group --home-dir /var/lib/libra --no-create-home \
            --shell /usr/sbin/nologin "$RUNAS" || fail 6 "there is no user $RUNAS, and it cannot be made"
    fi
    group=$(id -gn "$RUNAS")
    for folder in /run/libra /var/lib/libra /var/log/libra; do
        [ -d "$folder" ] || install -d -m 0755 -o "$RUNAS" -g "$group" "$folder"
    done
}

# Runs a command as RUNAS, with the named capabilities and no way to more.
as_daemon() {
    if [ "$RUNAS" = root ]; then
        "$@"
    else
        setpriv --reuid="$RUNAS" --regid="$(id -gn "$RUNAS")" --init-groups \
            --bounding-set="-all${CAPABILITIES:+,$CAPABILITIES}" \
            --inh-caps="-all${CAPABILITIES:+,$CAPABILITIES}" \
            --ambient-caps="-all${CAPABILITIES:+,$CAPABILITIES}" \
            --no-new-privs -- "$@"
    fi
}

do_start() {
    if running; then
        say "already running as process $pid"
        return 0
    fi
    prepare
    # The daemon returns when it serves; 75 means that no job server knows it yet.
    code=0
    # shellcheck disable=SC2086 # several words
    (cd / && umask 027 && as_daemon "$DAEMON" $OPTIONS) || code=$?
    return "$code"
}

do_stop() {
    if ! running; then
        say "not running"
        return 0
    fi
    [ "$(id -u)" -eq 0 ] || fail 4 "only root can do this"
    kill -TERM "$pid"
    ended "$STOP_SECONDS" || fail 1 "process $pid does not end in $STOP_SECONDS s"
}

do_reload() {
    running || fail 7 "not running"
    [ "$(id -u)" -eq 0 ] || fail 4 "only root can do this"
    # What is wrong would be refused, and only the log would tell.
    check=0
    if [ -n "${CHECK-}" ]; then
        # shellcheck disable=SC2086 # several words
        as_daemon "$DAEMON" $CHECK >/dev/null || check=$?
        [ "$check" -eq 0 ] || fail 1 "the settings are wrong and were not taken"
    fi
    kill -HUP "$pid"
}

do_status() {
    if running; then
        say "running as process $pid"
        return 0
    fi
    if [ -e "$PIDFILE" ]; then
        say "not running, but $PIDFILE is there"
        return 1
    fi
    say "not running"
    return 3
}

lsb() {
    case ${1-} in
    start) do_start ;;
    stop) do_stop ;;
    restart) do_stop && do_start ;;
    try-restart)
        running || return 0
        do_stop && do_start
        ;;
    reload) do_reload ;;
    force-reload) if running; then do_reload; else do_start; fi ;;
    status) do_status ;;
    *)
        echo "usage: $0 {start|stop|restart|try-restart|reload|force-reload|status}" >&2
        return 2
        ;;
    esac
}
