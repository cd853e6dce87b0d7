"""The data folder of an embedded server: found fit to start on, or made by initdb, complete or not at all. Data that
exists is never replaced; what a deleted home has left in `SHARED_FOLDER` is set aside, and the last such is kept. No
server is started or stopped here.
"""

from __future__ import annotations

import os
import secrets
import shutil
import string
from collections.abc import Iterable, Iterator
from pathlib import Path

from .errors import ServerError
from .server_binaries import Programs, SystemUser, find_account, shared_folder, usable_programs
from .server_home import ServerHome, has_cluster, major_of, quoted, write_file

_CAN_KEEP_DATA = 'cd -- "$1" && test -r password && mkdir data && rmdir data'


def ready_data(home: ServerHome, data: Path, *, major: int, folder: Path | None, user: str, lock: int) -> Path:
    """The data folder to start on, made now if there is none. Raises ServerError, OSError, subprocess.TimeoutExpired.

    `data` is where the home has it or is going to have it, `folder` holds the programs if the wheel's are not meant,
    `user` is the admin, whose password is made with the data, `lock` the descriptor of the home's lock, which the caller
    holds.
    """
    if has_cluster(data):
        refuse_other_major(data, major)
        home.admin_password()
        home.password_file.chmod(0o600)
        return data
    _refuse_to_replace(home, data)
    account = find_account(data)
    programs = usable_programs(account, major, folder)
    left = home.far / "data"
    # Left by a home that was deleted, and its password with it; the last such is kept.
    if account.switch and has_cluster(left):
        shutil.rmtree(home.far / "data.old", ignore_errors=True)
        left.rename(home.far / "data.old")
    try:
        password = home.admin_password()
    except ServerError:
        password = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))
        write_file(home.password_file, password + "\n", 0o600)
    return _make_cluster(account, programs, bases=_bases(home, account), user=user, password=password, lock=lock)


def refuse_other_major(data: Path, major: int) -> None:
    """Raises ServerError where the data was made by another major version."""
    made_by = major_of(data)
    if made_by != str(major):
        aside = f"mv {quoted(data)} {quoted(data, f'-{made_by}')}"
        raise ServerError(
            f"the data was made by PostgreSQL {made_by}, this is {major}",
            where=str(data),
            mend=f"golabs server stop && {aside} && golabs server start (begins empty)",
        )


def _refuse_to_replace(home: ServerHome, data: Path) -> None:
    if home.link.is_symlink() and data != home.far / "data":
        raise ServerError(
            f"this link points to {data}, where no PostgreSQL data is",
            where=str(home.link),
            mend=f"bring it back, or begin with an empty one: rm {quoted(home.link)}; golabs server start",
        )
    if data.is_dir() and any(data.iterdir()):
        raise ServerError(
            "this folder holds something else than PostgreSQL's data",
            where=str(data),
            mend=f"mv {quoted(data)} {quoted(data, '.aside')} && golabs server start",
        )


def _bases(home: ServerHome, account: SystemUser) -> Iterator[Path]:
    """Where the data may be kept, the best place first; the other is made when its turn comes."""
    yield home.folder
    if account.switch:
        shared_folder()
        home.far.mkdir(exist_ok=True)
        home.far.chmod(0o711)
        yield home.far


def _make_cluster(
    account: SystemUser,
    programs: Programs,
    *,
    bases: Iterable[Path],
    user: str,
    password: str,
    lock: int,
) -> Path:
    """Run initdb and give the new data folder, `data` in the first of the `bases` that the account can use."""
    fresh = _usable_folder(account, bases, password)
    data = fresh.parent / "data"
    command = [programs["initdb"], f"--pgdata={fresh / 'data'}", f"--username={user}", "--auth=scram-sha-256"]
    command += [f"--pwfile={fresh / 'password'}", "--encoding=UTF8", "--locale=C", "--data-checksums"]
    if programs.major >= 17:  # case rules beyond ASCII, the same on every system
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    # initdb inherits the lock: where golabs is killed, the next start waits for the end of an initdb left over.
    done = account.run(command, keep_open=[lock])
    if done.returncode != 0:
        output = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-12:])
        raise ServerError(f"initdb failed:\n{output}", where=str(fresh), mend="golabs server start")
    (fresh / "data").rename(data)
    shutil.rmtree(fresh)
    return data


def _usable_folder(account: SystemUser, bases: Iterable[Path], password: str) -> Path:
    """A new folder for initdb, with the password file that it reads; really tried as the account."""
    tried = []
    for base in bases:
        tried.append(str(base))
        fresh = base / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        write_file(fresh / "password", password + "\n", 0o600)
        try:
            if account.switch:
                os.chown(fresh / "password", account.uid, account.gid)
                os.chown(fresh, account.uid, account.gid)
            if account.succeeds(_CAN_KEEP_DATA, str(fresh)):
                return fresh
        except OSError:  # a file system without owners
            pass
        shutil.rmtree(fresh)
    raise ServerError(
        f"the user {account.name}, whom PostgreSQL runs as, can't keep data in {' nor in '.join(tried)}",
        mend="run golabs as an ordinary user, or on a file system that knows owners",
    )
