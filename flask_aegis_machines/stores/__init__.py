"""The interfaces of the two stores. Prove a store of your own with ``flask_aegis_machines.testing``.

The abstract methods serve the endpoints. The other methods have defaults; the docstring of each says what is
missing without it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from flask import Flask

from flask_aegis_machines._errors import Refusal
from flask_aegis_machines._records import Machine, Owner, User

__all__ = ["MachineStore", "Notice", "Owner", "UserStore"]


class Notice(str):
    """A line of ``problems()`` that ``flask aegis-machines doctor`` prints, but that is no failure."""

    __slots__ = ()


class _Store:
    """The methods that both kinds of store may have: at mount, around each request, and for ``doctor``."""

    def check_mount(self, app: Flask) -> None:
        """Check what only a mounted store can know, such as the engine of the app. Default: no check.

        Args:
            app: The app that the blueprint is registered on.

        Raises:
            ConfigurationError: The store cannot guarantee one owner for each code in this app.
        """

    def request_scope(self) -> AbstractContextManager[None]:
        """Return a context in which one request runs, authentication included. Default: an empty context.

        A store may share one connection between the calls of a request there. Without it every call has a
        connection of its own.

        Returns:
            A context manager. It must not hold a connection before a method of the store is called.
        """
        return nullcontext()

    def problems(self) -> list[str]:
        """Return what is wrong with the store. Used by ``flask aegis-machines doctor``. Default: nothing.

        Returns:
            One sentence for each problem, which says what to do. A ``Notice`` is printed as a notice and does
            not make the command fail.

        Raises:
            Exception: The store failed.
        """
        return []


class UserStore(_Store, ABC):
    """Finds the user for the identity in a token."""

    @abstractmethod
    def get(self, identity: str) -> User | None:
        """Return the user who has an identity and may bind machines.

        Args:
            identity: What ``authenticate`` returned, as ``str``.

        Returns:
            The user, or ``None`` where there is none, also for an identity that nobody can have.

        Raises:
            Refusal: The request is refused. The client gets the answer of the refusal.
            Exception: The store failed. The client gets 500/10005.
        """

    def get_any(self, identity: str) -> User | None:
        """Return the user who has an identity, whether or not they may bind machines. Default: ``get``.

        Used by ``flask aegis-machines import``.

        Args:
            identity: As in ``get``.

        Returns:
            The user, or ``None``.

        Raises:
            Exception: The store failed.
        """
        return self.get(identity)

    def get_by_key(self, key: object) -> User | None:
        """Return the user whose key is stored in a machine's ``user_id``. Default: ``get(str(key))``.

        Used by ``flask aegis-machines show``.

        Args:
            key: The key of the user.

        Returns:
            The user, or ``None``.

        Raises:
            Exception: The store failed.
        """
        return self.get(str(key))

    def get_sample(self) -> User | None:
        """Return any user who may bind machines. Used by ``doctor --trial``. Default: ``None``, no trial.

        Returns:
            A user, or ``None`` where there is none.

        Raises:
            Exception: The store failed.
        """
        return None


class MachineStore(_Store, ABC):
    """Keeps the owner of each machine code. No method moves or frees a code."""

    @abstractmethod
    def bind(self, machine: Machine, user: User) -> None:
        """Bind a machine to a user, permanently.

        A unique key on the machine code decides, in the database and nowhere else: with a look-up followed by
        an INSERT, two requests can both succeed. When this method returns, the binding is durable. When it
        raises, nothing of the binding is left, or the outcome is unknown and the exception says so.

        Args:
            machine: The machine. Its ``registered_at`` is stored; where it is ``None``, the store sets it.
            user: The owner.

        Raises:
            MachineCodeTaken: A committed binding of exactly this code was read, and it is not this one.
            UserNotFound: The user does not exist any more.
            Refusal: The request is refused. The client gets the answer of the refusal.
            Exception: The store failed. The client gets 500/10005.
        """

    @abstractmethod
    def owner_of(self, machine_code: str) -> Owner | None:
        """Return who owns a machine code. Another request may bind a free code at any time.

        Args:
            machine_code: The code, 32 characters, compared exactly.

        Returns:
            The owner, with ``key=None`` where the user was deleted; ``None`` for a code that is not bound.

        Raises:
            Refusal: The request is refused. The client gets the answer of the refusal.
            Exception: The store failed. The client gets 500/10005.
        """

    @abstractmethod
    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        """Return a user's machines, oldest first.

        Args:
            user: The owner.
            after: Return the machines after this machine code of the user; ``None`` for the first page.
            limit: The maximum number of machines, 1 or more.

        Returns:
            The machines, ``registered_at`` set, in an order that does not change while machines are added.
            Empty where ``after`` is no code of this user.

        Raises:
            Refusal: The request is refused. The client gets the answer of the refusal.
            Exception: The store failed. The client gets 500/10005.
        """

    def bind_many(self, bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
        """Bind several machines, each as ``bind`` does. Default: one by one.

        Used by ``flask aegis-machines import``, which is slow without it.

        Args:
            bindings: Machines with their owners.

        Returns:
            For each machine ``None``, or the reason for its refusal.

        Raises:
            Exception: The store failed. Some of the machines may be bound.
        """
        refusals: list[Refusal | None] = []
        for machine, user in bindings:
            try:
                self.bind(machine, user)
                refusals.append(None)
            except Refusal as refusal:
                refusals.append(refusal)
        return refusals

    def find(self, machine_code: str) -> tuple[Machine, object] | None:
        """Return a machine and the key of its owner.

        Used by ``flask aegis-machines show``, which fails without it.

        Args:
            machine_code: The code, compared exactly.

        Returns:
            The machine, ``registered_at`` set, and the key; ``None`` for a code that is not bound.

        Raises:
            NotImplementedError: The store does not override this method.
            Exception: The store failed.
        """
        raise NotImplementedError

    def try_binding(self, user: User, *, with_hook: bool = False) -> list[str]:
        """Bind a random code for a user in a transaction that is rolled back, and check each step.

        Used by ``flask aegis-machines doctor --trial``. Default: a notice that the store has no trial.

        Args:
            user: The user to bind for.
            with_hook: Whether a hook of the host runs as well.

        Returns:
            One sentence for each problem, as from ``problems``.

        Raises:
            Refusal: A hook refused the user.
            Exception: The store failed.
        """
        return [Notice("This store has no trial.")]
