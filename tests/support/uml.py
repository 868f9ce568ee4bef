"""A Linux that runs as a process (user-mode Linux), where this machine's own lacks something.

It sees this machine's files, read-only, and has memory file systems at /run and for temporary
files. Its kernel is Debian's `user-mode-linux`, with modules that this one may have been built
without, IP_VS among them; nftables is not.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import need

_MODULES = (
    *("ipv6", "veth", "bridge", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_wlc", "ip_vs_sh"),
    *("crc32c_generic", "sha1_generic", "md5", "hmac", "sctp"),
)
_END = "The tests ended with"
_INIT = """\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run/tmp
export PYTHONDONTWRITEBYTECODE=1 LIBRA_IN_UML=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 1777 /run/tmp
ip link set lo up
{python} {loader} {modules}
# Its kernel has no nftables: members of these tests answer through the node all the same.
mount --bind /bin/true /usr/sbin/nft
cd {root}
{python} -m pytest -q --color=no -p no:cacheprovider --all {tests}
echo "{end} $?"
echo o > /proc/sysrq-trigger
sleep 10
"""


def run_tests(*tests: str, seconds: float) -> str:
    """Run tests of this checkout there; gives what they said. Fails where one of them does."""
    linux = need.program("linux.uml")
    root = Path(__file__).parents[2]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        init = Path(folder) / "init"
        init.write_text(
            _INIT.format(
                python=shlex.quote(sys.executable),
                loader=shlex.quote(str(Path(__file__).with_name("uml_modules.py"))),
                modules=" ".join(_MODULES),
                root=shlex.quote(str(root)),
                tests=shlex.join(tests),
                end=_END,
            )
        )
        init.chmod(0o755)
        done = subprocess.run(
            [
                linux, "mem=768M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro",
                f"init={init}", "con=null", "con0=null,fd:1", "quiet",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )  # fmt: skip
    said = done.stdout.decode(errors="replace")
    ended = re.search(rf"{_END} (\d+)", said)
    assert ended is not None, said[-4000:]
    assert ended[1] == "0", said[-20000:]
    return said
