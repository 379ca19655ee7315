"""The state that a client and its views share: slots, counters, endpoints, transports, the embedded simulator."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import anyio
from pydantic import SecretStr

from ..config import LLMConfig
from ..errors import AuthenticationError
from ..limits import Budget, Slots, TenantLimits, account_name
from ..models import ModelInfo, needs_key, resolve_provider
from ..threads import run_in_own_thread
from ..transports.base import NO_KEY, Connection, Transport
from .endpoint import Endpoint, configured_model_info, connection_options
from .interception import needs_keys
from .pipeline import Counters, Pipeline

if TYPE_CHECKING:
    from aiohttp import ClientSession  # noqa: TID251  # a name for type checkers; nothing is imported

    from ..cache import Store
    from ..call_log import CallLog
    from ..limits.shared.session import LimitsSession
    from ..simulator import Simulator

SIMULATED = "simulated"

_CLOSED = "this client is closed; make another, or leave its `async with` block later"


class SharedState:
    """Opened on first use, closed once.

    Args:
        config: The client's profile, for what belongs to the client as a whole: its slots, queue and budget.
        http_session: A session of the caller's for the wire transport.
    """

    def __init__(self, config: LLMConfig, http_session: ClientSession | None = None) -> None:
        self._config = config
        self._http_session = http_session
        budget = None if config.budget_usd is None else Budget(config.budget_usd)
        tenants = TenantLimits(
            config.tenant_max_concurrency,
            config.tenant_requests_per_minute,
            config.tenant_budget_usd,
            config.tenant_max_queue,
        )
        self.slots = Slots(config.max_concurrency, config.max_queue, budget, tenants)
        self.counters = Counters()
        self.closed = False
        self._transports: dict[str, Transport] = {}
        self._endpoints: dict[object, Endpoint] = {}
        self._stores: dict[str, Store] = {}
        self._call_logs: dict[str, CallLog] = {}
        self._limits: dict[str, LimitsSession] = {}
        self._simulator: Simulator | None = None
        self._starting: anyio.Lock | None = None

    async def endpoint(self, config: LLMConfig) -> Endpoint:
        """Return the endpoint of a profile; the same one for equal profiles.

        Raises:
            RuntimeError: When the client is closed.
            AuthenticationError: When there is no key, and the provider needs one.
            ConfigError: When the provider cannot be found, or the variable that the profile names is not set.
        """
        if self.closed:
            raise RuntimeError(_CLOSED)
        key = _endpoint_key(config)
        if key not in self._endpoints:
            connection, model = await self._connection(config)
            proxied = await _proxied(config, connection, model)
            session = None if config.limits_url is None else await self._limits_session(config.limits_url)
            if self.closed:  # meanwhile
                raise RuntimeError(_CLOSED)
            # Another task may have been here during the await; a second endpoint would leave its limits in the bucket.
            if key not in self._endpoints:
                # Not a method: a cycle would leave an unclosed client to the garbage collector, which may end its
                # connections before they are closed.
                transport = partial(_transport, self._transports, self._http_session)
                self._endpoints[key] = Endpoint(config, connection, model, transport, proxied, session)
        endpoint = self._endpoints[key]
        if endpoint.usual_transport not in self._transports:
            await self._import_transport(endpoint.usual_transport)
        return endpoint

    async def pipeline(self, config: LLMConfig) -> Pipeline:
        """Return a new pipeline of a profile's endpoint, with the profile's cache before it."""
        endpoint = await self.endpoint(config)
        if config.cache is None:
            made = Pipeline(config, endpoint, self.slots, self.counters)
        else:
            from .cached_pipeline import CachedPipeline

            store = await self._answer_store(config)
            made = CachedPipeline(config, endpoint, self.slots, self.counters, store)
        if config.call_log is not None:
            made.call_log = self._call_log(config)
        return made

    async def _limits_session(self, url: SecretStr) -> LimitsSession:
        """Return the session with a store of shared limits; the client's own is where its slots share theirs."""
        from ..limits.shared.stores import open_session

        text = url.get_secret_value()
        is_own = url == self._config.limits_url
        own = (await self._connection(self._config))[0] if is_own else None
        async with self._lock():
            if self.closed:
                raise RuntimeError(_CLOSED)
            if text not in self._limits:
                session = self._limits[text] = await run_in_own_thread(partial(open_session, text))
                if own is not None:
                    account = account_name(own.provider, own.options.get("base_url"), own.api_key)
                    self.slots.share(session.account(account), self._config.profile or "default")
        return self._limits[text]

    def _call_log(self, config: LLMConfig) -> CallLog:
        from ..call_log import CallLog

        path = file_of(config, "call_log")
        if path not in self._call_logs:
            self._call_logs[path] = CallLog(
                path, max_bytes=config.call_log_max_bytes, max_age_days=config.call_log_max_age
            )
        return self._call_logs[path]

    async def _answer_store(self, config: LLMConfig) -> Store:
        from ..cache import open_store

        location = file_of(config, "cache")
        async with self._lock():
            if self.closed:
                raise RuntimeError(_CLOSED)
            if location not in self._stores:
                opening = partial(open_store, location, config.cache_max_bytes)
                self._stores[location] = await run_in_own_thread(opening)
        return self._stores[location]

    def model_info(self, config: LLMConfig) -> ModelInfo:
        """Return the properties of a profile's model; those that a proxy names, once its endpoint has been made."""
        endpoint = self._endpoints.get(_endpoint_key(config))
        return configured_model_info(config) if endpoint is None else endpoint.info

    async def aclose(self) -> None:
        """Close everything; returns when it is closed. Closing twice is harmless."""
        self.closed = True
        for endpoint in self._endpoints.values():
            endpoint.close()
        self._endpoints.clear()
        transports = tuple(self._transports.values())
        self._transports.clear()
        simulator, self._simulator = self._simulator, None
        with anyio.CancelScope(shield=True):
            for transport in transports:
                await transport.aclose()
            if simulator is not None:
                await run_in_own_thread(simulator.stop)
            if self._stores or self._call_logs or self._limits:
                await run_in_own_thread(partial(_close_rest, self._stores, self._call_logs, self._limits))

    def __del__(self, _is_ending: Callable[[], bool] = sys.is_finalizing) -> None:
        """Close what an unclosed client left open, without waiting."""
        if self.closed or not self._endpoints:
            return
        self.closed = True
        for transport in self._transports.values():
            transport.drop()
        if _is_ending():
            return  # everything ends with the interpreter, and a thread that is started now would never begin
        held = (tuple(self._endpoints.values()), self._simulator, self._stores, self._call_logs, self._limits)
        # On a thread, because a destructor may run while its own holds one of the locks that this takes.
        threading.Thread(target=_close_now, args=held, name="asyncllm-close", daemon=True).start()
        warnings.warn("a client was never closed; use `async with`, or call aclose()", ResourceWarning, stacklevel=1)

    async def _import_transport(self, name: str) -> None:
        """Import a transport on a thread: a loop that serves others meanwhile would stand still for 0.1 s."""
        module = f"asyncllm.transports.{name}.transport"
        async with self._lock():
            if module not in sys.modules:
                await run_in_own_thread(partial(import_module, module))
        if self.closed:  # meanwhile
            raise RuntimeError(_CLOSED)

    def _lock(self) -> anyio.Lock:
        """Return the lock of the first calls, which begin together; made in their loop."""
        if self._starting is None:
            # Free, it is taken without a turn of the loop, for which a burst of first calls would queue up one by one.
            self._starting = anyio.Lock(fast_acquire=True)
        return self._starting

    async def _connection(self, config: LLMConfig) -> tuple[Connection, str]:
        """Return the connection of a profile, and the model as litellm names it."""
        if config.provider == SIMULATED:
            simulator = await self._started_simulator()
            name = config.model.removeprefix(f"{SIMULATED}/")
            options: dict[str, Any] = {"base_url": simulator.url}
            connection = Connection("openai", "simulated", options, config.connect_timeout, is_embedded=True)
            return connection, f"openai/{name}"
        options = connection_options(config)
        key = config.resolved_key()
        secret = None if key is None else key.get_secret_value()
        if secret is None and "base_url" in options and (config.withheld or config.provider == "openai"):
            # Without any, litellm would look for one in the environment by itself: for the provider's own key, which
            # must not go to another endpoint, or for one that an endpoint without keys does not need.
            secret = NO_KEY
        if secret is None and not needs_keys():
            secret = NO_KEY
        if secret is None and needs_key(config.provider) and not _signs_in_otherwise(config.provider):
            raise AuthenticationError(
                f"there is no key for {config.provider}; nothing was sent.",
                hint=config.key_advice(),
                model=config.model,
                provider=config.provider,
                profile=config.profile,
            )
        resolved = resolve_provider(config.model, config.custom_llm_provider, config.base_url)
        model = resolved.prefixed if resolved.is_guess else config.model
        return Connection(config.provider, secret, options, config.connect_timeout), model

    async def _started_simulator(self) -> Simulator:
        async with self._lock():
            if self._simulator is None:
                self._simulator = await run_in_own_thread(_start_simulator)
        return self._simulator


# Fields that say how a call is made, not where it goes: profiles that differ in nothing else share an endpoint.
_OF_THE_CALL = frozenset(
    (
        "timeout",
        "first_token_timeout",
        "idle_timeout",
        "deadline",
        "num_retries",
        "retry_min_wait",
        "retry_max_wait",
        "retry_multiplier",
        "fallbacks",
        "max_concurrency",
        "max_queue",
        "tenant_max_concurrency",
        "tenant_max_queue",
        "tenant_requests_per_minute",
        "tenant_budget_usd",
        "adaptive",
        "budget_usd",
        "structured_mode",
        "max_reasks",
        "log_prompts",
        "call_log",
        "call_log_max_bytes",
        "call_log_max_age",
        "cache",
        "cache_mode",
        "cache_ttl",
        "cache_max_bytes",
    )
)
_ENDPOINT_FIELDS = tuple(name for name in LLMConfig.model_fields if name not in _OF_THE_CALL)


def _endpoint_key(config: LLMConfig) -> object:
    return (config.profile, *(_frozen(getattr(config, name)) for name in _ENDPOINT_FIELDS))


def _frozen(value: object) -> object:
    """Return a value that can be hashed, equal for equal values."""
    if isinstance(value, Mapping):
        return tuple((key, _frozen(item)) for key, item in cast(Mapping[str, object], value).items())
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in cast(Sequence[object], value))
    return value


async def _proxied(config: LLMConfig, connection: Connection, model: str) -> ModelInfo | None:
    if config.provider != "litellm_proxy":
        return None
    from ..transports.litellm.proxy_models import proxy_models

    return (await proxy_models(connection)).get(model.removeprefix("litellm_proxy/"))


def file_of(config: LLMConfig, field: str) -> str:
    """Return the file that a field names, one of config.toml relative to config.toml; a URL as it is."""
    value, origin = str(getattr(config, field)), config.provenance[field]
    if "://" in value:
        return value
    folder = "" if origin.path is None else str(origin.path.parent)
    return os.path.join(folder, os.path.expanduser(value))


def _signs_in_otherwise(provider: str) -> bool:
    """Return whether the environment has a token or login of the provider, which litellm uses instead of a key."""
    prefix = f"{provider.split('_')[0].upper()}_"
    return any(name.startswith(prefix) and ("TOKEN" in name or "CLIENT" in name) for name in os.environ)


def _transport(made: dict[str, Transport], http_session: ClientSession | None, name: str) -> Transport:
    if name not in made:
        made[name] = _make_transport(name, http_session)
    return made[name]


def _make_transport(name: str, http_session: ClientSession | None) -> Transport:
    if name == "wire":
        from ..transports.wire.transport import WireTransport

        return WireTransport(http_session)
    from ..transports.litellm.transport import LitellmTransport

    return LitellmTransport()


def _close_now(
    endpoints: Sequence[Endpoint],
    simulator: Simulator | None,
    stores: dict[str, Store],
    call_logs: dict[str, CallLog],
    limits: dict[str, LimitsSession],
) -> None:
    for endpoint in endpoints:
        endpoint.close()
    if simulator is not None:
        simulator.stop()
    _close_rest(stores, call_logs, limits)


def _close_rest(stores: dict[str, Store], call_logs: dict[str, CallLog], limits: dict[str, LimitsSession]) -> None:
    if limits:
        from ..limits.shared.stores import close_session

        while limits:
            close_session(limits.popitem()[0])
    while call_logs:
        call_logs.popitem()[1].close()
    if stores:
        from ..cache import close_store

        while stores:
            close_store(stores.popitem()[1])


def _start_simulator() -> Simulator:
    from ..simulator import Simulator

    simulator = Simulator()
    simulator.start()
    return simulator
