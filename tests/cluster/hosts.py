"""Hosts on this machine: each a network, process, mount and host-name namespace of its own, joined by a bridge.

A host has its own address, SSH server, home, /tmp, /dev/shm, /etc/passwd and host name, sees its own processes only,
and dies with them all when its first process is killed, as a machine does when its power goes. What hosts share is the
kernel, the clock, and, read-only, the Python packages of the environment that the tests run in: a host's own virtual
environment reads them, and the wheel of owkd is installed there by the template's set-up commands. No folder is shared
between two hosts: what one knows of another came over the network.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path

NETWORK = "10.77.31"
PREFIX = "owkdt"
HOME = "/mnt/home"
ENVIRONMENT = Path(sys.prefix).resolve()
TOOLS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "ps": "procps",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "/usr/sbin/sshd": "openssh-server",
    "rsync": "rsync",
}
"""and the package of Debian and Ubuntu that each comes with"""

START = """set -eu
hostname {name}
mount -t tmpfs tmpfs /mnt
mkdir {home} /mnt/code /mnt/data
mount --bind -o ro {code} /mnt/code
mount --bind {environment} {environment}
mount -o remount,bind,ro {environment}
mount --bind {root}/{name}/data /mnt/data
mount --bind {root}/{name}/home {home}
mount --bind {root}/{name}/passwd /etc/passwd
mount -t tmpfs tmpfs /run
mkdir /run/sshd
mount -t tmpfs -o size=8g tmpfs /dev/shm
mount --bind {root}/{name}/tmp /tmp
exec /usr/sbin/sshd -D -e -f {home}/.sshd_config
"""

SSHD = """ListenAddress {address}
HostKey {home}/.hostkey
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
"""


def missing() -> str:
    """What keeps this machine from holding hosts, and what to do about it; empty when nothing does."""
    if os.geteuid() != 0:
        return "hosts of their own (network and mount namespaces) must be made by root; run: sudo make test-cluster"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    if absent:
        packages = " ".join(dict.fromkeys(TOOLS[tool] for tool in absent))
        return (
            f"every host must have {', '.join(TOOLS)}, but this machine lacks {', '.join(absent)}; run: "
            f"apt-get update && apt-get install -y {packages}"
        )
    if hidden := next((place for place in ("/tmp", "/mnt", "/run") if ENVIRONMENT.is_relative_to(place)), None):
        return f"the project must lie outside {hidden}, of which every host has its own, but is in {ENVIRONMENT}"
    probe = f"{PREFIX}-probe"
    for command in (
        ["ip", "netns", "add", probe],
        ["ip", "netns", "delete", probe],
        ["unshare", "--mount", "--pid", "--fork", "true"],
    ):
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode:
            return f"this machine must allow namespaces, but {shlex.join(command)} says: {tried.stderr.strip()}"
    return ""


class Network:
    """The bridge, and every host on it. Leaving removes all of it."""

    def __init__(self, root: Path, code: Path) -> None:
        self.root = root
        self.code = code
        self.bridge = f"{PREFIX}-br"
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Network:
        remove_leftovers()
        self.root.mkdir()
        _ip("link", "add", self.bridge, "type", "bridge")
        _ip("address", "add", f"{NETWORK}.1/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.root / "key"], check=True, capture_output=True
        )
        return self

    def host(self, name: str, number: int) -> Host:
        """A machine that is set up, with its power off."""
        self.hosts[name] = Host(self, name, f"{NETWORK}.{number}")
        return self.hosts[name]

    def __exit__(self, *exception: object) -> None:
        for host in self.hosts.values():
            host.kill()
        remove_leftovers()


class Host:
    """One machine."""

    def __init__(self, network: Network, name: str, address: str) -> None:
        self.network = network
        self.name = name
        self.address = address
        self.space = f"{PREFIX}-{name}"
        self.root = network.root / name
        self.home = self.root / "home"
        self.process: subprocess.Popen[bytes] | None = None
        self._set_up()

    def _set_up(self) -> None:
        for folder in ("home/.ssh", "tmp", "data"):
            (self.root / folder).mkdir(parents=True)
        shutil.copy(self.network.root / "key", self.home / ".ssh" / "id_ed25519")
        shutil.copy(self.network.root / "key.pub", self.home / ".ssh" / "authorized_keys")
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.home / ".hostkey"],
            check=True,
            capture_output=True,
        )
        (self.home / ".sshd_config").write_text(SSHD.format(address=self.address, home=HOME))
        # As a machine with a Python of its own.
        (self.home / ".bashrc").write_text(f"export PATH={ENVIRONMENT}/bin:$PATH RAY_USAGE_STATS_ENABLED=0\n")
        users = Path("/etc/passwd").read_text().splitlines()
        root = f"root:x:0:0:root:{HOME}:/bin/bash"
        (self.root / "passwd").write_text(
            "\n".join(root if user.startswith("root:") else user for user in users) + "\n"
        )
        paths = {"name": self.name, "home": HOME, "code": self.network.code, "root": self.network.root}
        (self.root / "start.sh").write_text(START.format(environment=ENVIRONMENT, **paths))
        self._make_environment()

    def _make_environment(self) -> None:
        """~/owkd/venv, which reads what is installed here: pip finds all it needs, and there is no internet."""
        venv = self.home / "owkd" / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
        packages = next(venv.glob("lib/python*/site-packages"))
        (packages / "installed.pth").write_text(f"{Path(sysconfig.get_paths()['purelib']).resolve()}\n")
        for name, module in (("pip", "pip"), ("ray", "ray.scripts.scripts")):
            script = venv / "bin" / name
            script.write_text(f'#!/bin/bash\nexec {HOME}/owkd/venv/bin/python -m {module} "$@"\n')
            script.chmod(0o755)

    def start(self) -> None:
        """Power on, cable in."""
        _ip("netns", "add", self.space)
        _ip("link", "add", self.space, "type", "veth", "peer", "name", "eth0", "netns", self.space)
        _ip("link", "set", self.space, "master", self.network.bridge, "up")
        for words in (
            f"address add {self.address}/24 dev eth0",
            "link set eth0 up",
            "link set lo up",
            f"route add default via {NETWORK}.1",
        ):
            _ip("-netns", self.space, *words.split())
        spaces = ["--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        command = ["ip", "netns", "exec", self.space, "unshare", *spaces, "bash", str(self.root / "start.sh")]
        with (self.root / "sshd.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _wait(lambda: "Server listening" in (self.root / "sshd.log").read_text(), 20, f"the SSH server of {self.name}")

    def cut_off(self) -> None:
        """Pulls the cable."""
        _ip("link", "set", self.space, "down")

    def kill(self) -> None:
        """Pulls the power: every process of the host is gone, and its network with it."""
        if self.process is None:
            return
        self.process.kill()  # of `unshare`, which takes the first process of the host along
        self.process.wait()
        self.process = None
        _ip("netns", "delete", self.space)

    def run(self, command: str, *, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """A command at the host's own console."""
        assert self.process is not None, f"{self.name} is off"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        enter = ["nsenter", "--target", children[0], "--mount", "--net", "--pid", "--uts", "--ipc", "--"]
        clean = ["env", "-i", f"HOME={HOME}", "TERM=xterm", "LANG=C.UTF-8", f"PATH={os.environ['PATH']}"]
        script = f"source {HOME}/.bashrc; cd {HOME}; {command}"
        return subprocess.run(
            [*enter, *clean, "bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def serve(self, command: str, log: str) -> None:
        """A command that stays, with its output in a file of the host's home."""
        done = self.run(f"setsid nohup {command} > {log} 2>&1 < /dev/null &")
        assert done.returncode == 0, done.stderr

    def processes(self) -> list[str]:
        """Command lines of Ray's and owkd's processes on the host."""
        listed = self.run("ps -eo args").stdout.splitlines()
        return [
            line for line in listed if ("ray" in line or "owkd" in line) and "ps -eo" not in line and "sshd" not in line
        ]


def remove_leftovers() -> None:
    """What a killed test run left behind, by the names that only it gives."""
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout.split()
    for space in spaces:
        if space.startswith(f"{PREFIX}-"):
            subprocess.run(["ip", "netns", "delete", space], check=False)
    links = subprocess.run(["ip", "-oneline", "link"], capture_output=True, text=True, check=True).stdout
    for line in links.splitlines():
        name = line.split()[1].rstrip(":").partition("@")[0]
        if name.startswith(f"{PREFIX}-"):
            subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(['ip', *words])}: {done.stderr.strip()}")


def _wait(true: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {seconds:.0f} s")
        time.sleep(0.2)
