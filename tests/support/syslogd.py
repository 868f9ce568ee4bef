"""A real rsyslog with a socket and a file of its own, as the original's nodes had."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from tests.support.need import program
from tests.support.wait import until

_CONFIG = """\
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{socket}" CreatePath="off")
template(name="plain" type="string"
  string="%timegenerated% %HOSTNAME% %syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%\\n")
$FileCreateMode 0644
$Umask 0000
:programname, isequal, "haproxy" action(type="omfile" file="{file}" template="plain")
"""


class Syslogd:
    """Writes what HAProxy logs to `socket` into `file`; `rotate` is what logrotate does."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "devlog"
        self.file = folder / "haproxy.log"
        self._config = folder / "rsyslog.conf"
        self._pid = folder / "rsyslog.pid"
        self._config.write_text(_CONFIG.format(socket=self.socket, file=self.file))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Syslogd:
        self._process = subprocess.Popen(
            [program("rsyslogd"), "-n", "-f", str(self._config), "-i", str(self._pid)],
            stdout=subprocess.DEVNULL,
        )
        until(self.socket.exists, "syslog listens")
        self.socket.chmod(0o666)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def rotate(self) -> None:
        assert self._process is not None
        self.file.rename(self.file.with_suffix(".1"))
        os.kill(self._process.pid, signal.SIGHUP)
