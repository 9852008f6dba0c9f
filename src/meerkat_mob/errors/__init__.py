"""Everything we raise, in one tree.

Each class has a stable ``code`` that programs may match on; the text is for people and ends
with what to do next. Facts go in by keyword and stay readable as attributes. What is a fact of
the domain (a tool failed, a member's turn was denied) is an event or a result, never one of these.

MeerkatError                       catch this to catch us
├── InvalidParams                  a call was given something it does not take
├── MethodNotFound                 a surface has no call of that name
├── DefinitionInvalid              a team file has errors; carries every diagnostic
├── DefinitionUnreadable           a team file or pack could not be read at all
├── CassetteUnreadable             recorded model calls are damaged, or something else
├── CapabilityUnavailable          this interpreter or version cannot do what was asked
├── StoreError                     facts could not be kept
│   ├── StaleRevision              somebody appended first
│   ├── DuplicateKey               a unique key is already taken
│   ├── StoreCorrupt               a record is not what was committed
│   ├── StoreFailed                the disk refused; nothing was written
│   ├── StoreClosed                the store was closed before
│   ├── RealmUnreadable            what is there is not a realm that can be opened
│   ├── RealmDamaged               its log is damaged: opening it for writing would lose facts
│   ├── RealmLocked                another process holds it
│   └── RealmFenced                another process took it over
├── SessionError                   about one session
│   ├── SessionNotFound
│   ├── SessionBusy                a run is already admitted
│   ├── SessionNotRunning          nothing to interrupt
│   ├── PersistenceDisabled        asked an ephemeral service for what only a durable one has
│   ├── SessionUnsupported         an option outside its window
│   ├── MissingSessionMetadata     a stored session does not say which model answers
│   └── SystemContextConflict      an idempotency key was used for another text
├── AgentError                     a run ended without a result
│   ├── RunCancelled
│   ├── HookDenied                 a hook said no
│   ├── SkillNotFound              a run was referred to a skill that its session has not
│   ├── InvalidOutputSchema        an answer cannot be held to this schema
│   ├── StructuredOutputValidationFailed  the model did not bring its answer into form
│   ├── HookExecutionFailed        a command or a server that is a hook gave no usable answer
│   ├── TimeBudgetExceeded         a run took longer than it may
│   ├── NoPendingBoundary          nothing to continue from
│   ├── CallbackPending            a tool's result is still to come from outside
│   └── LlmFailed                  the model or its server failed
│       ├── LlmKeyMissing
│       ├── LlmUnreachable
│       └── ScriptError            a scripted model has no line for this
│           └── CassetteMiss       a replayed model has no recording of this
├── RuntimeFault                   about one session's inbox
│   ├── RuntimeNotReady            the runtime's state forbids it
│   ├── InputRejected              an input contradicts itself
│   ├── InboxFull                  the bound of an inbox is reached
│   ├── InputEnded                 an accepted input ended without an answer
│   ├── OperationNotFound          no background operation of that id is remembered
│   ├── OperationExists            its id is taken
│   ├── OperationRefused           it stands where this cannot happen to it
│   ├── TooManyOperations          the limit of operations at a time is reached
│   └── WaitRefused                a wait for several operations cannot be begun
├── ToolFailed                     what a tool raises to tell its model why
├── CommsError                     a message to a peer could not be sent
│   └── PeerNotFound
├── ClockStuck                     a test's virtual clock cannot go on
└── MobError                       about a mob or one of its members
    ├── ProfileNotFound
    ├── RealmProfileNotFound
    ├── MemberNotFound
    ├── MemberExists
    ├── MemberRestoreFailed        it could not be brought back, and can do nothing
    ├── SpawnCancelled             the mob ended a spawn before its member was there
    ├── KickoffWaitTimedOut        members had not had their first turn by then
    ├── RevisionConflict           somebody changed it since it was read
    ├── MobExists
    ├── MobNotFound
    ├── NotExternallyAddressable
    ├── InvalidTransition          the mob's state forbids the command
    ├── WiringRefused
    ├── SkillMissing               a member's skill file is not there
    ├── TaskRefused                the task board's rules forbid the change
    ├── NoAnswer                   ``ask`` found no text to return
    └── WaitTimedOut               a wait ended by its time limit
"""

from meerkat_mob.errors.common import (
    AgentError,
    CallbackPending,
    CapabilityUnavailable,
    CassetteMiss,
    CassetteUnreadable,
    ClockStuck,
    CommsError,
    DefinitionInvalid,
    DefinitionUnreadable,
    DuplicateKey,
    Finding,
    HookDenied,
    HookExecutionFailed,
    InboxFull,
    InputEnded,
    InputRejected,
    InvalidOutputSchema,
    InvalidParams,
    LlmFailed,
    LlmKeyMissing,
    LlmUnreachable,
    MeerkatError,
    MethodNotFound,
    MissingSessionMetadata,
    NoPendingBoundary,
    OperationExists,
    OperationNotFound,
    OperationRefused,
    PeerNotFound,
    PersistenceDisabled,
    RealmDamaged,
    RealmFenced,
    RealmLocked,
    RealmUnreadable,
    RunCancelled,
    RuntimeFault,
    RuntimeNotReady,
    ScriptError,
    SessionBusy,
    SessionError,
    SessionNotFound,
    SessionNotRunning,
    SessionUnsupported,
    SkillNotFound,
    StaleRevision,
    StoreClosed,
    StoreCorrupt,
    StoreError,
    StoreFailed,
    StructuredOutputValidationFailed,
    SystemContextConflict,
    TimeBudgetExceeded,
    ToolFailed,
    TooManyOperations,
    WaitRefused,
)
from meerkat_mob.errors.mobs import (
    InvalidTransition,
    KickoffWaitTimedOut,
    MemberExists,
    MemberNotFound,
    MemberRestoreFailed,
    MobError,
    MobExists,
    MobNotFound,
    NoAnswer,
    NotExternallyAddressable,
    ProfileNotFound,
    RealmProfileNotFound,
    RevisionConflict,
    SkillMissing,
    SpawnCancelled,
    TaskRefused,
    WaitTimedOut,
    WiringRefused,
)

__all__ = (
    "AgentError",
    "CallbackPending",
    "CapabilityUnavailable",
    "CassetteMiss",
    "CassetteUnreadable",
    "ClockStuck",
    "CommsError",
    "DefinitionInvalid",
    "DefinitionUnreadable",
    "DuplicateKey",
    "Finding",
    "HookDenied",
    "HookExecutionFailed",
    "InboxFull",
    "InputEnded",
    "InputRejected",
    "InvalidOutputSchema",
    "InvalidParams",
    "InvalidTransition",
    "KickoffWaitTimedOut",
    "LlmFailed",
    "LlmKeyMissing",
    "LlmUnreachable",
    "MeerkatError",
    "MemberExists",
    "MemberNotFound",
    "MemberRestoreFailed",
    "MethodNotFound",
    "MissingSessionMetadata",
    "MobError",
    "MobExists",
    "MobNotFound",
    "NoAnswer",
    "NoPendingBoundary",
    "NotExternallyAddressable",
    "OperationExists",
    "OperationNotFound",
    "OperationRefused",
    "PeerNotFound",
    "PersistenceDisabled",
    "ProfileNotFound",
    "RealmDamaged",
    "RealmFenced",
    "RealmLocked",
    "RealmProfileNotFound",
    "RealmUnreadable",
    "RevisionConflict",
    "RunCancelled",
    "RuntimeFault",
    "RuntimeNotReady",
    "ScriptError",
    "SessionBusy",
    "SessionError",
    "SessionNotFound",
    "SessionNotRunning",
    "SessionUnsupported",
    "SkillMissing",
    "SkillNotFound",
    "SpawnCancelled",
    "StaleRevision",
    "StoreClosed",
    "StoreCorrupt",
    "StoreError",
    "StoreFailed",
    "StructuredOutputValidationFailed",
    "SystemContextConflict",
    "TaskRefused",
    "TimeBudgetExceeded",
    "TooManyOperations",
    "ToolFailed",
    "WaitRefused",
    "WaitTimedOut",
    "WiringRefused",
)
