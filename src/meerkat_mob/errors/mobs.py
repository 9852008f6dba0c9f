"""What can go wrong with a mob or one of its members."""

from __future__ import annotations

from collections.abc import Sequence

from meerkat_mob.errors.common import MeerkatError


class MobError(MeerkatError):
    """Something about a mob or one of its members."""

    code = "MOB_ERROR"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class ProfileNotFound(MobError):
    """A role that the definition does not have, or that is a realm's profile which is not there."""

    code = "PROFILE_NOT_FOUND"

    def __init__(
        self, *, profile: str, known: Sequence[str], realm_profile: str | None = None
    ) -> None:
        super().__init__(
            f"no profile {profile!r}; the definition has: {', '.join(known)}"
            if realm_profile is None
            else f"the role {profile!r} is the realm's profile {realm_profile!r}, which is not "
            f"there: create it (realm.profiles.create), or write out [profiles.{profile}]"
        )
        self.profile, self.known, self.realm_profile = profile, tuple(known), realm_profile


class RealmProfileNotFound(MobError):
    """The realm keeps no profile of that name."""

    code = "REALM_PROFILE_NOT_FOUND"

    def __init__(self, *, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no profile {name!r}; the realm has: {', '.join(known) or 'none yet'}")
        self.name, self.known = name, tuple(known)


class MemberNotFound(MobError):
    """No such member, or it is retiring."""

    code = "MEMBER_NOT_FOUND"

    def __init__(self, *, member: str, known: Sequence[str] = ()) -> None:
        super().__init__(f"no member {member!r}; the mob has: {', '.join(known) or 'nobody yet'}")
        self.member, self.known = member, tuple(known)


class MemberExists(MobError):
    """The id is taken, in whatever state its holder is."""

    code = "MEMBER_EXISTS"

    def __init__(self, *, member: str) -> None:
        super().__init__(f"member {member!r} exists already: choose another id")
        self.member = member


class MemberRestoreFailed(MobError):
    """The member could not be brought back from what is kept of it, and can do nothing."""

    code = "MEMBER_RESTORE_FAILED"

    def __init__(self, *, member: str, session_id: str, reason: str) -> None:
        super().__init__(
            f"member {member!r} is broken: {reason}; respawn it to begin anew, or retire it"
        )
        self.member, self.session_id, self.reason = member, session_id, reason


class SpawnCancelled(MobError):
    """The mob ended a spawn before its member was there. Nothing of it is left."""

    code = "SPAWN_CANCELLED"

    def __init__(self, *, member: str, reason: str) -> None:
        super().__init__(f"the spawn of {member!r} was cancelled: {reason}")
        self.member, self.reason = member, reason


class KickoffWaitTimedOut(MobError):
    """Members had not begun by then; ``pending`` are their ids, in the order asked for."""

    code = "KICKOFF_WAIT_TIMED_OUT"

    def __init__(self, *, seconds: float, pending: Sequence[str]) -> None:
        super().__init__(
            f"after {seconds:g} s these members had not begun: {', '.join(pending)}; "
            "wait longer, or look at their events"
        )
        self.seconds, self.pending = seconds, tuple(pending)


class RevisionConflict(MobError):
    """Somebody changed it since it was read; ``actual`` is the revision it has now."""

    code = "REVISION_CONFLICT"

    def __init__(self, *, what: str, expected: int, actual: int) -> None:
        super().__init__(
            f"{what} is at revision {actual}, not {expected}: read it again, then change it"
        )
        self.what, self.expected, self.actual = what, expected, actual


class MobExists(MobError):
    """The realm has a mob of that id."""

    code = "MOB_EXISTS"

    def __init__(self, *, mob_id: str) -> None:
        super().__init__(
            f"mob {mob_id!r} exists in this realm: bring it back (realm.resume_mob, or "
            "'meerkat-mob resume'), or choose another id (run takes --id)"
        )
        self.mob_id = mob_id


class MobNotFound(MobError):
    """The realm has no mob of that id."""

    code = "MOB_NOT_FOUND"

    def __init__(self, *, mob_id: str, known: Sequence[str]) -> None:
        super().__init__(f"no mob {mob_id!r}; the realm has: {', '.join(known) or 'none yet'}")
        self.mob_id, self.known = mob_id, tuple(known)


class NotExternallyAddressable(MobError):
    """The profile does not take messages from outside the mob (U-1)."""

    code = "NOT_EXTERNALLY_ADDRESSABLE"

    def __init__(self, *, member: str, profile: str) -> None:
        super().__init__(
            f"member {member!r} takes no messages from outside: set external_addressable = true "
            f"in profiles.{profile}, or write to a member that takes them"
        )
        self.member, self.profile = member, profile


class InvalidTransition(MobError):
    """The mob's state forbids the command (spec mob 2.3)."""

    code = "INVALID_TRANSITION"

    def __init__(self, *, state: str, command: str) -> None:
        super().__init__(f"a mob that is {state} does not take the command {command!r}")
        self.state, self.command = state, command


class WiringRefused(MobError):
    """Members cannot be wired, or a member cannot take part in wiring."""

    code = "WIRING_ERROR"


class SkillMissing(MobError):
    """A profile's skill file is not where the definition says. Nothing was started."""

    code = "SKILL_MISSING"

    def __init__(self, *, member: str, skill: str, path: str) -> None:
        super().__init__(
            f"member {member!r} cannot start: its skill {skill!r} is not at {path}; "
            "add it there, or give the skill inline"
        )
        self.member, self.skill, self.path = member, skill, path


class TaskRefused(MobError):
    """A change that the task board's rules forbid (T-1 to T-6)."""

    code = "TASK_REFUSED"


class NoAnswer(MobError):
    """The mob became idle and the member had said nothing since it was asked."""

    code = "NO_ANSWER"

    def __init__(self, *, member: str, why: str) -> None:
        super().__init__(f"member {member!r} gave no answer: {why}")
        self.member, self.why = member, why


class WaitTimedOut(MobError):
    """A wait ended by its limit. What was waited for goes on."""

    code = "WAIT_TIMED_OUT"

    def __init__(self, *, what: str, seconds: float, busy: Sequence[str] = ()) -> None:
        at_work = f" (still at work: {', '.join(busy)})" if busy else ""
        super().__init__(
            f"{what} did not happen within {seconds:g} s{at_work}: wait longer, or interrupt"
        )
        self.what, self.seconds, self.busy = what, seconds, tuple(busy)
