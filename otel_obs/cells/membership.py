"""This process as a member of a service: it joins the run directory, stays a member, and leaves."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from _thread import RLock
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from otel_obs.cells.sharing import Sharing
from otel_obs.errors import (
    id_of_another_user,
    id_of_another_version,
    split_service,
    unknown_service,
    unwritable_run_dir,
)
from otel_obs.host import forks, proc
from otel_obs.host.endings import at_end, at_sigterm, ends_without_handlers, runs_no_handlers
from otel_obs.host.masters import is_master
from otel_obs.host.signals import tolerate
from otel_obs.host.weak import weakly
from otel_obs.rundir.directory import (
    RunDir,
    UnusableDirectoryError,
    find_run_dirs,
    id_mark,
    is_supported,
    open_run_dir,
)
from otel_obs.rundir.identity import Identity, decide, siblings_alike, this_candidate
from otel_obs.rundir.roots import ROOT, STARTER, RecordedRoot, file_name, is_dead, recorded_roots
from otel_obs.rundir.search import (
    find_noted,
    find_signed,
    has_other_users,
    is_there,
    other_users_of,
    other_versions,
)
from otel_obs.rundir.tidying import DOUBT, Left, forget_leaving, leave, sweep, sweep_other_users

if TYPE_CHECKING:
    from otel_obs.cells.worker import Worker

# What opens a store is imported when one is opened: most processes of a service never record.
_logger = logging.getLogger("otel_obs")

_SHELLS = frozenset(("ash", "bash", "busybox", "dash", "fish", "ksh", "sh", "zsh"))
"""Two copies of a program that were started from a shell are two services, not the halves of one."""

_MOVED = "moved"
"""The first worker that logs the move to this directory makes this file; others find it, and do not log."""


class Service(Sharing):
    """Opens this process's store where the service's other workers find it.

    Args:
        bases: Directories that may hold the run directory, best first.
        nonce: The name of the service.
        chosen_by: The setting by which a user has chosen the only base, if one has.
        identity: How the name is known, and the processes that the service lives and ends with.
    """

    def __init__(
        self, bases: Sequence[str], nonce: str, chosen_by: str = "", identity: Identity | None = None
    ) -> None:
        super().__init__(bases)
        self._chosen_by = chosen_by
        self._nonce = nonce
        self._run_dir: RunDir | None = None
        self._inherited: list[RunDir] = []
        self._has_said_unknown = False
        self._forget_end: Callable[[], object] = lambda: None
        self._forget_signal: Callable[[], object] = lambda: None
        self._lock = RLock()
        self._has_left = self._is_leaving = False
        self._identity = identity or decide(this_candidate({}, sys.orig_argv))
        self._may_have_another_name = identity is not None and identity.rule in ("kernel", "socket")
        self._listening: dict[int, frozenset[int]] = {}
        self._is_root_ours = self._identity.rule == "environment" or not self._others()
        if not is_supported():
            self._be_alone("this platform has no shared files with locks")
            self.say()
            return
        forks.after_in_parent(self._join_quietly)
        forks.after_in_child(self._after_fork_in_child)
        self._forget_end = at_end(weakly(self._leave))

    def _others(self) -> list[proc.Process]:
        """The service's root processes (`Identity.heads`) other than this one."""
        own = proc.this_process()
        return [each for each in self._identity.heads if own is None or each.pid != own.pid]

    def is_root(self) -> bool:
        """Whether this process is the service's root: a server's master, or a process without others."""
        return not self._others()

    def run_dir(self) -> RunDir | None:
        """The service's directory; None where this process is alone."""
        run_dir = self._find()
        self.say()
        return run_dir

    def claim(self, mark: str) -> bool:
        """Whether this process is the first to make *mark*; true too where it cannot be made."""
        run_dir = self._find()
        if run_dir is None or run_dir.claim(mark):
            return True
        with tolerate(OSError):
            return mark not in run_dir.names()
        return True

    def _find(self) -> RunDir | None:
        with self._lock:
            present = self._run_dir
            if present is not None and not present.is_removed():
                return present
            if self._is_alone or self._has_left:
                return None
            opened = self._opened()
            if opened is None:
                return None
            if not self._replace(present, opened):
                return self._run_dir
            self._note_roots(opened)
        if present is None:
            sweep(self._bases)
            return opened
        self._left.append(present)
        if opened.claim(_MOVED):
            self._unsaid.append(
                f"{present.path} was removed; the workers that live go on in {opened.path}, and what others "
                "have counted is lost"
            )
        return opened

    def _opened(self) -> RunDir | None:
        """Join or make the directory; None where that is impossible at the moment."""
        if self._is_unusable and not self._placing.may_join():
            return None
        self._is_unusable = True
        try:
            opened = open_run_dir(self._bases, self._known_name())
        except UnusableDirectoryError as error:
            chosen = unwritable_run_dir(self._chosen_by, self._bases[0]) if self._chosen_by else error
            self._say_later(str(chosen), is_every_workers=True)
            self._placing.note_failure(str(chosen))
            return None
        self._is_unusable = False
        return opened

    def _known_name(self) -> str:
        """The service's name: that of an earlier root, if its directory names ours as the successor."""
        if self._may_have_another_name and not is_there(self._bases, self._nonce):
            roots = {file_name(head, ROOT) for head in self._identity.heads}
            self._nonce = find_noted(self._bases, roots) or self._nonce
        return self._nonce

    def _note_roots(self, run_dir: RunDir) -> None:
        """Name the service's roots in the directory, so that no sweep takes the service for dead."""
        with tolerate(OSError):
            run_dir.unlink(DOUBT)
            forget_leaving(run_dir)
            names = [file_name(each, ROOT) for each in self._others()]
            if self._identity.starter is not None:
                names.append(file_name(self._identity.starter, STARTER))
            run_dir.note(names)
            if self._identity.rule == "service id":
                self._note_id(run_dir)
        if not self._is_root_ours and runs_no_handlers():
            from otel_obs.rundir.aftercare import leave_behind

            leave_behind(run_dir, self._listening, "by the first")

    def _note_id(self, run_dir: RunDir) -> None:
        """Mark that this user has the service id, and warn of other users and versions that have it."""
        service_id, base = self._nonce.rpartition(".")[0], os.path.dirname(os.path.dirname(run_dir.path))
        with tolerate(FileExistsError):
            os.mkdir(os.path.join(base, id_mark(self._nonce, str(os.geteuid()))), 0o700)
        versions = other_versions([base], service_id, self._nonce)
        if versions and run_dir.claim("versions.said"):
            self._unsaid.append(id_of_another_version(service_id, versions))
        # A server that gives its workers another user is not another service.
        known = {proc.user_of(each.pid) for each in self._others()}
        users = [str(user) for user in other_users_of(base, self._nonce) if user not in known]
        if users and run_dir.claim("users.said"):
            self._unsaid.append(id_of_another_user(service_id, users))

    def _replace(self, before: RunDir | None, opened: RunDir) -> bool:
        """Make *opened* the directory, unless a signal handler of this thread has set one (see `RLock`)."""
        if self._run_dir is not before:
            opened.close()
            return False
        self._run_dir = opened
        # Needed until this process was a member itself; each generation of forks would keep one more.
        while self._inherited:
            self._inherited.pop().close()
        return True

    def has_other_users(self) -> bool:
        """Whether workers of this service run as another user, as `gunicorn --user` lets them."""
        return has_other_users(self._bases, self._nonce)

    def holder_of(self, address: str, lock_name: str) -> tuple[int, str] | None:
        """The process of another service of this user that serves that address, and its directory."""
        return find_signed(self._bases, lock_name, address) if is_supported() else None

    def claims(self, what: str) -> bool:
        """Whether this process is the first of the service to log *what*; true where it is alone."""
        run_dir = self._find()
        return run_dir is None or run_dir.claim(f"{what}.said")

    def say_what_is_unknown(self) -> None:
        """Log once that scrapes may miss workers: no service is known, or siblings run the same program."""
        if self._has_said_unknown or self._is_alone:
            return
        self._has_said_unknown = True
        identity = self._identity
        if identity.remedy:
            _logger.warning("%s", unknown_service(identity.reason, identity.remedy))
        elif identity.rule == "kernel" and not self._others():
            candidate = this_candidate({}, sys.orig_argv)
            if proc.program_of(candidate.parent) not in _SHELLS:
                alike = siblings_alike(candidate)
                if alike:
                    _logger.warning("%s", split_service(alike))

    def _join_quietly(self) -> None:
        """Join after a fork: otherwise the last worker to end would remove the directory of a live parent."""
        if self._run_dir is None and not self._is_alone and not self._has_left:
            with contextlib.suppress(UnusableDirectoryError):
                opened = open_run_dir(self._bases, self._known_name())
                if self._replace(None, opened):
                    self._note_roots(opened)

    def _after_fork_in_child(self) -> None:
        """Keep the parent's membership open until this process joins, at its first use."""
        # A thread of the parent, which does not exist here, may hold the former lock.
        self._lock = RLock()
        self._unsaid.clear()
        self._said = {reason: True for reason, is_known in self._said.items() if is_known}
        if self._run_dir is not None:
            self._inherited.append(self._run_dir)
            self._run_dir = None
        self._inherited += [*self._left, *self._placing.start_over()]
        self._left = []
        self._is_unusable, self._worker = False, b""
        self._see_who_tidies_up()

    def close(self) -> None:
        """Leave the service, and close everything of it."""
        self._forget_end()
        self._forget_signal()
        self._leave()
        for run_dir in (self._run_dir, *self._inherited, *self._left, *self._placing.end()):
            if run_dir is not None:
                run_dir.close()

    def begin(self, worker: Worker) -> None:
        """After set-up: handle SIGTERM, and join."""
        if not self._is_alone:
            if not self._is_root_ours or not self._others():
                self._forget_signal = at_sigterm(weakly(self._leave), weakly(self._prepare_to_leave))
            self._see_who_tidies_up()
            self.join(worker)

    def join(self, worker: Worker, *, serves: bool = False) -> None:
        """Open the store; in a root or a master, which may never record, only where it *serves* requests."""
        if not self._is_alone and (serves or (self._others() and not is_master())):
            worker.exclusively(worker.store)

    def _see_who_tidies_up(self) -> None:
        """Find out whether the root tidies up: it has to have loaded otel_obs, and to run exit handlers."""
        others = self._others()
        if any(ends_without_handlers(each.pid) for each in others):
            self._is_root_ours = False
        if not self._is_root_ours:
            from otel_obs.rundir.aftercare import shared_sockets

            self._listening = shared_sockets(others)

    def _is_over(self, root: RecordedRoot) -> bool:
        from otel_obs.rundir.aftercare import is_ending

        own = proc.this_process()
        is_own = root.pid == (os.getpid() if own is None else own.pid)
        return is_own or is_dead(root) or is_ending(root, self._listening)

    def _prepare_to_leave(self) -> None:
        """Start the aftercare process at SIGTERM: this process may end without tidying up."""
        present = self._run_dir
        if present is not None and not self._has_left and not present.is_removed():
            from otel_obs.rundir.aftercare import leave_behind

            # Before it ends its workers, gunicorn closes the sockets; else one of them is replaced.
            tells = self._listening and "gunicorn.arbiter" in sys.modules
            with tolerate(OSError):
                if not tells or any(map(self._is_over, recorded_roots(present.names(), ROOT))):
                    leave_behind(present, self._listening)

    def _leave(self) -> None:
        """Leave the directory, and remove it if this is the last member and no root needs it."""
        # Under the lock: a thread that still records must not make another directory after this.
        with self._lock:
            if self._is_leaving:
                return
            self._is_leaving = self._has_left = True
        try:
            self._do_leave()
        except BaseException:
            self._is_leaving = False  # a signal handler has raised: the next call leaves
            raise

    def _do_leave(self) -> None:
        present = self._run_dir
        # Without /proc a root knows none, and others know it by its number.
        heads = self._identity.heads or (proc.hidden_process(os.getpid()),)
        if present is not None and self._listening:
            from otel_obs.rundir.aftercare import note_successors

            with tolerate(OSError):
                note_successors(present, self._listening)
        if present is None or present.is_removed():
            leave(find_run_dirs(self._bases, self._nonce), self._is_over, heads)
        every = [each for each in (present, *self._inherited, *self._placing.end()) if each is not None]
        left = leave(every, self._is_over, heads)
        # One directory may be here twice, inherited and joined: the last result holds.
        for each in {each.run_dir.path: each for each in left}.values():
            self._see_to(each)
        if not self._others():
            sweep_other_users(self._bases, self._nonce)

    def _see_to(self, left: Left) -> None:
        """Start the aftercare process where the remaining processes may not tidy up themselves."""
        if self._is_root_ours:
            return
        from otel_obs.rundir.aftercare import leave_behind

        roots = recorded_roots(left.run_dir.names(), ROOT)
        is_told = self._listening and not any(ends_without_handlers(each.pid) for each in roots)
        if not left.has_members and (is_told or proc.this_process() is None):
            leave_behind(left.run_dir, self._listening)
        elif not is_told or any(map(self._is_over, roots)):
            # Also by the last one: where the end cannot be seen coming, another may join, and be killed.
            leave_behind(left.run_dir, self._listening, "beside others")
