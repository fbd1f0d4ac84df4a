"""Every setting of the service, read once from the environment, checked at start, passed in from there.

`DATABASE_URL` and `REDIS_URL` have no prefix, because platforms set them; everything else is `STEADYRANK_…`.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, PositiveFloat, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.server_addresses import postgres_address, redis_address, refuse_weak_passwords

MIB = 1024 * 1024


def _default_data_dir() -> Path:
    """Where data of this user's programs goes by the XDG convention; the SDK looks there too."""
    data_home = os.environ.get("XDG_DATA_HOME")
    return (Path(data_home) if data_home else Path("~/.local/share")) / "steadyrank"


class Settings(BaseSettings):
    """The settings of one process. Sizes are bytes and times are seconds, unless a field says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="STEADYRANK_",
        populate_by_name=True,
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # an address with a fault in it still holds a password
    )

    # --- where it runs
    environment: Literal["development", "production"] = "development"
    """`production` refuses to start with an absent or well-known database or broker password."""
    data_dir: Path = Field(default_factory=_default_data_dir, validate_default=True)
    """Folder of the embedded database, broker, logs and local API key; unused when both URLs are given."""
    database_url: str | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "database_url"), repr=False
    )
    """Postgres (15 or newer): `postgresql://user:password@host:port/name`; unset, the embedded one."""
    redis_url: str | None = Field(
        default=None, validation_alias=AliasChoices("REDIS_URL", "redis_url"), repr=False
    )
    """Redis or Valkey, as `redis://host:port/0` or `unix:///path.sock`; unset, the embedded one is used."""
    database_pool_size: int = Field(default=10, ge=1, le=200)
    """Database connections that one process keeps open; under load it opens twice as many more."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Web origins, separated by commas, that may call the API from a browser; none by default."""

    # --- who may call
    require_keys: bool = True
    """Whether every `/v1` request needs an API key; false makes every caller the default project."""

    # --- what is taken in
    max_upload_bytes: int = Field(default=2 * 1024 * MIB, ge=1)
    """Largest data set body, as sent, in bytes."""
    max_decompressed_bytes: int = Field(default=8 * 1024 * MIB, ge=1)
    """Largest data set after decompression, in bytes; what a compressed bomb runs into."""
    max_json_bytes: int = Field(default=MIB, ge=1024)
    """Largest JSON request body, in bytes."""
    json_body_seconds: float = Field(default=30.0, gt=0.0, le=3600.0)
    """A JSON body that has not wholly arrived after so many seconds is answered with 408."""
    max_rows: int = Field(default=100_000_000, ge=1)
    """Most interactions a data set may have, in rows."""
    max_epochs: int = Field(default=10_000, ge=1)
    """Most epochs a job may ask for."""
    max_runtime_seconds: int = Field(default=7 * 24 * 3600, ge=1)
    """Longest that one job may run, all its attempts together, in seconds."""
    max_pending_seconds: int = Field(default=30 * 24 * 3600, ge=1)
    """Longest that a job may wait in the queue, in seconds; then it fails."""
    evaluation_share: float = Field(default=0.15, ge=0.0, lt=1.0)
    """Share of a job's runtime limit that is kept for measuring what was trained by then."""

    # --- what a project may use; 0 is no limit, and a project may have limits of its own
    quota_rows: int = Field(default=0, ge=0)
    """Most interactions in all data sets of a project."""
    quota_stored_bytes: int = Field(default=0, ge=0)
    """Most bytes that a project's data sets, checkpoints, models, reports and uploads have together."""
    quota_jobs_at_once: int = Field(default=0, ge=0)
    """Most jobs of a project that are queued or running."""
    quota_evaluations_at_once: int = Field(default=0, ge=0)
    """Most evaluations of a project that are queued or running."""
    quota_batches_at_once: int = Field(default=0, ge=0)
    """Most batches of recommendations of a project that are queued or running."""
    quota_jobs_a_day: int = Field(default=0, ge=0)
    """Most jobs that a project submits on one day (UTC)."""
    quota_runtime_seconds_a_month: int = Field(default=0, ge=0)
    """Most seconds that a project's jobs train in one calendar month (UTC)."""
    retain_checkpoints_days: int = Field(default=0, ge=0, le=36_500)
    """Days after a job's end when its checkpoints are deleted; 0 keeps them."""
    retain_events_days: int = Field(default=0, ge=0, le=36_500)
    """Days after a job's end when its events and log lines are deleted; 0 keeps them."""

    # --- how often a key may ask
    read_requests_per_minute: int | None = Field(default=None, ge=0)
    """Most reading requests of one key in a minute; 0 is no limit. Unset: 6,000 in production, else 0."""
    write_requests_per_minute: int | None = Field(default=None, ge=0)
    """Most other requests of one key in a minute; 0 is no limit. Unset: 1,200 in production, else 0."""

    # --- leases
    lease_seconds: float = Field(default=45.0, gt=0.0, le=3600.0)
    """How long a worker's claim on a job, or other work, lasts without a heartbeat, in seconds."""
    reaper_seconds: float = Field(default=5.0, gt=0.0, le=3600.0)
    """Seconds between two looks for claims that ran out."""
    resend_after_seconds: float = Field(default=30.0, gt=0.0, le=86_400.0)
    """A wake-up still not answered after this many seconds is sent again."""
    max_attempts: int = Field(default=3, ge=1, le=100)
    """How many attempts at a job, or other work, may be lost before it fails for good."""
    upload_idle_seconds: float = Field(default=120.0, gt=0.0)
    """An upload is broken off when nothing arrives for this many seconds."""
    abandoned_upload_seconds: float = Field(default=3600.0, gt=0.0)
    """An unfinished upload is swept away when nothing was written to it for this many seconds."""
    upload_expiry_seconds: float = Field(default=24 * 3600.0, gt=0.0)
    """An upload in parts is forgotten, with its parts, this many seconds after its last one arrived."""

    # --- the trainer
    device: str = "auto"
    """Where models train: `auto` (a GPU when there is one), `cpu`, `cuda` or `cuda:1`."""
    threads: int = Field(default=1, ge=1, le=1024)
    """CPU threads that one training process uses; part of what makes a run repeatable bit for bit."""

    hang_seconds: float = Field(default=600.0, gt=0.0)
    """A training process that makes no step for this many seconds is taken for hung and ended."""
    cancel_grace_seconds: float = Field(default=5.0, gt=0.0)
    """Seconds that a cancelled training or measuring process has to leave by itself before it is killed."""
    shutdown_grace_seconds: float = Field(default=6.0, gt=0.0)
    """Seconds that a training process has to write a checkpoint when its worker shuts down."""

    # --- webhooks
    webhook_allow_private: bool = False
    """Whether webhooks may go to private and loopback addresses; link-local and metadata ones never."""
    webhook_timeout_seconds: float = Field(default=15.0, gt=0.0, le=60.0)
    """All that one attempt at a delivery may take, from looking the host up to the end of the answer."""
    webhook_retry_seconds: Annotated[tuple[PositiveFloat, ...], NoDecode] = Field(
        default=(5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000), max_length=50
    )
    """Waits before the second, third, … attempt, separated by commas; after the last one it is given up."""
    webhook_disable_after_seconds: float = Field(default=5 * 24 * 3600.0, gt=0.0)
    """An endpoint is switched off when a delivery is given up and none has succeeded for so long."""
    webhook_keep_seconds: float = Field(default=30 * 24 * 3600.0, gt=0.0)
    """Deliveries that have ended stay in the log for so long."""
    webhook_poll_seconds: float = Field(default=1.0, gt=0.0, le=60.0)
    """Seconds between two looks for deliveries that are due."""
    webhook_concurrency: int = Field(default=4, ge=0, le=100)
    """Deliveries that the reaper's process sends at once, one at a time to an endpoint; 0: none."""

    # --- telling
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe log line that is written."""
    log_format: Literal["json", "text"] = "json"
    """`json` writes one object a line; `text` is for a terminal."""
    metrics_public: bool = False
    """Whether `/metrics` is shown without a key; else it takes one with the scope `operator`."""

    @field_validator("cors_origins", "webhook_retry_seconds", mode="before")
    @classmethod
    def _split_commas(cls, given: object) -> object:
        return (
            tuple(filter(None, (part.strip() for part in given.split(","))))
            if isinstance(given, str)
            else given
        )

    @field_validator("data_dir")
    @classmethod
    def _expand_home(cls, given: Path) -> Path:
        return given.expanduser().absolute()

    @field_validator("database_url")
    @classmethod
    def _name_the_driver(cls, given: str | None) -> str | None:
        return None if given is None else postgres_address(given)

    @field_validator("redis_url")
    @classmethod
    def _check_broker(cls, given: str | None) -> str | None:
        return None if given is None else redis_address(given)

    @model_validator(mode="after")
    def _production_has_real_secrets(self) -> Self:
        if self.environment != "production":
            return self
        if self.database_url is None or self.redis_url is None:
            raise ValueError(
                "production needs DATABASE_URL and REDIS_URL; the embedded servers are not for it"
            )
        refuse_weak_passwords(self.database_url, self.redis_url)
        if not self.require_keys:
            raise ValueError("production refuses STEADYRANK_REQUIRE_KEYS=false")
        return self

    @property
    def database(self) -> str:
        """The database address, in SQLAlchemy's form. RuntimeError when none was given."""
        if self.database_url is None:
            raise RuntimeError("No database: set DATABASE_URL, or start everything with `steadyrank up`.")
        return self.database_url

    @property
    def requests_per_minute(self) -> dict[str, int]:
        """Most requests of one key in a minute, by kind (`read`, `write`); 0 is no limit."""
        production = self.environment == "production"
        read, write = self.read_requests_per_minute, self.write_requests_per_minute
        return {
            "read": (6000 if production else 0) if read is None else read,
            "write": (1200 if production else 0) if write is None else write,
        }

    @property
    def broker(self) -> str:
        """The broker address, in Celery's form (a socket is `redis+socket://`). RuntimeError when none."""
        if self.redis_url is None:
            raise RuntimeError("No broker: set REDIS_URL, or start everything with `steadyrank up`.")
        if self.redis_url.startswith("unix://"):
            return "redis+socket://" + self.redis_url.removeprefix("unix://")
        return self.redis_url


def faults_of(error: ValidationError) -> str:
    """Which settings are wrong and how, without their values: an address may hold a password."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'settings'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors(include_input=False)
    )


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """This process's settings, read from the environment once."""
    return Settings()
