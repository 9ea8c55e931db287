"""What a store promises; a team's own store subclasses these and proves itself with ``testing``.

The abstract methods are what the endpoints need. The others have defaults; they serve the ``flask`` commands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from flask_aegis_machines._errors import Refusal
from flask_aegis_machines._records import Machine, User

__all__ = ["MachineStore", "UserStore"]


class UserStore(ABC):
    """Finds the user whom a token's identity names."""

    @abstractmethod
    def get(self, identity: str) -> User | None:
        """Look a user up.

        Args:
            identity: What ``authenticate`` returned, as a string.

        Returns:
            The user, or ``None`` where there is none, also for an identity that cannot be one.

        Raises:
            Exception: The store failed; answered with 500/10005.
        """

    def get_by_key(self, key: object) -> User | None:
        """Look a user up by what stands in a machine's ``user_id``; for the command ``show``.

        Args:
            key: The user's key.

        Returns:
            The user, or ``None`` where there is none. Unless overridden, the one whose identity is the key.

        Raises:
            Exception: The store failed.
        """
        return self.get(str(key))

    def problems(self) -> list[str]:
        """Tell what is wrong with where the users are kept; for the command ``doctor``.

        Returns:
            A sentence for each problem, which says what to do. Unless overridden, there are none.

        Raises:
            Exception: The store failed.
        """
        return []


class MachineStore(ABC):
    """Keeps which machine belongs to whom. Nothing here moves or frees a machine code."""

    @abstractmethod
    def bind(self, machine: Machine, user: User) -> None:
        """Bind a machine to a user, for ever.

        A unique key on the machine code decides, in the database and nowhere else: a look-up followed by an
        insert lets two requests through. When this returns, the binding is durable. When it raises, nothing
        of it is left, or its outcome is unknown and the exception says so.

        Args:
            machine: The machine; the store sets ``registered_at``.
            user: The owner.

        Returns:
            Nothing; that is the "yes".

        Raises:
            MachineCodeTaken: A committed binding of exactly this code was read, and it is not this very one.
            UserNotFound: The user is not there (any more).
            Exception: The store failed; answered with 500/10005.
        """

    @abstractmethod
    def is_available(self, machine_code: str) -> bool:
        """Tell whether a machine code is still free. It may be taken a moment later.

        Args:
            machine_code: The code, 32 characters, compared exactly.

        Returns:
            Whether no committed binding of the code was found.

        Raises:
            Exception: The store failed; answered with 500/10005.
        """

    @abstractmethod
    def list_for(self, user: User, *, after: str | None = None, limit: int = 100) -> list[Machine]:
        """List a user's machines, oldest first.

        Args:
            user: The owner.
            after: Code of the user's machine after which the list goes on; ``None`` for its beginning.
            limit: How many machines at most, from 1.

        Returns:
            The machines, ``registered_at`` set, in an order that stays as it is while machines are added.
            Empty where ``after`` is no code of this user's.

        Raises:
            Exception: The store failed; answered with 500/10005.
        """

    def bind_many(self, bindings: Sequence[tuple[Machine, User]]) -> list[Refusal | None]:
        """Bind several machines, each as ``bind`` does; for the command ``import``.

        Args:
            bindings: Machines with their owners.

        Returns:
            For each of them ``None``, or why it was refused. Unless overridden, they are bound one by one.

        Raises:
            Exception: The store failed; some of them may be bound.
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
        """Find a machine with its owner's key; for the command ``show``.

        Args:
            machine_code: The code, compared exactly.

        Returns:
            The machine, ``registered_at`` set, and the key; ``None`` where nobody has it.

        Raises:
            NotImplementedError: The store does not override this method.
            Exception: The store failed.
        """
        raise NotImplementedError

    def problems(self) -> list[str]:
        """Tell what is wrong with where the machines are kept; for the command ``doctor``.

        Returns:
            A sentence for each problem, which says what to do. Unless overridden, there are none.

        Raises:
            Exception: The store failed.
        """
        return []
