"""What the first start creates, and what later starts keep."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.pool import QueuePool
from werkzeug.security import check_password_hash

from example_app import create_app
from example_app.models import User, db
from tests.support.example import CHECKOUT, Apps, register, users_of

KEY = "a key of the tests, of more than 32 bytes"
QUIET = {"FLASK_SQLALCHEMY_TRACK_MODIFICATIONS": "false"}  # Flask-SQLAlchemy 2.5 warns unless it is set


class TestCreation:
    """What a start creates, and what it leaves as it is."""

    def test_first_start_creates_folder_key_and_users(self, apps: Apps) -> None:
        """The first start creates a private folder, a private random key of 32 bytes, and two users."""
        app = apps.start()
        assert stat.S_IMODE(apps.instance.stat().st_mode) == 0o700
        assert stat.S_IMODE(apps.key_file.stat().st_mode) == 0o600
        assert len(bytes.fromhex(apps.key_file.read_text())) == 32
        assert app.config["JWT_SECRET_KEY"] == apps.key_file.read_text()
        users = users_of(app)
        assert users.keys() == {"ASD000001", "ASD000002"}
        assert users["ASD000001"][0] == "110101199003071234"
        assert len(users["ASD000002"][0]) == 18
        assert all(check_password_hash(stored, "demo") for _, stored in users.values())
        assert (apps.instance / "example.db").exists()

    def test_second_start_keeps_everything(self, apps: Apps) -> None:
        """A second start keeps the key and the users, and does not restore a deleted user."""
        first = apps.start()
        with first.app_context():
            db.session.delete(db.session.scalar(db.select(User).filter_by(aegisspeed_id="ASD000002")))
            db.session.commit()
        second = apps.start()
        assert second.config["JWT_SECRET_KEY"] == first.config["JWT_SECRET_KEY"]
        assert users_of(second) == users_of(first)
        assert users_of(second).keys() == {"ASD000001"}

    def test_two_folders_have_two_keys(self, apps: Apps, tmp_path: Path) -> None:
        """The key is random: another instance folder has another key."""
        other = Apps(tmp_path / "other")
        keys = {apps.start().config["JWT_SECRET_KEY"], other.start().config["JWT_SECRET_KEY"]}
        other.close()
        assert len(keys) == 2

    def test_interrupted_start_leaves_no_empty_key(self, apps: Apps) -> None:
        """After a start that was killed between creating the file and writing the key, a key is written."""
        apps.instance.mkdir(parents=True)
        apps.key_file.touch(mode=0o600)
        assert len(apps.start().config["JWT_SECRET_KEY"]) == 64

    def test_key_in_the_file_is_used(self, apps: Apps) -> None:
        """A key that somebody put into the file, with a line end, signs the tokens."""
        apps.instance.mkdir(parents=True)
        apps.key_file.write_text("chosen by the host, not by the app\n")
        assert apps.start().config["JWT_SECRET_KEY"] == "chosen by the host, not by the app"

    def test_no_connection_is_left_for_a_fork(self, apps: Apps) -> None:
        """After the start no connection is open that forked workers would share."""
        with apps.start(SQLALCHEMY_ENGINE_OPTIONS={"poolclass": QueuePool}).app_context():
            assert db.engine.pool.checkedin() + db.engine.pool.checkedout() == 0

    def test_database_in_memory_keeps_its_tables(self, apps: Apps) -> None:
        """An in-memory database, as tests use it, has its tables and users after the start."""
        app = apps.start(SQLALCHEMY_DATABASE_URI="sqlite://", JWT_SECRET_KEY=KEY, DEMO_USERS=True)
        assert register(app.test_client(), "ASD000001").status_code == 200

    @pytest.mark.clusters
    def test_six_starts_at_once_agree(self, apps: Apps) -> None:
        """Six processes that start together without an instance folder agree on one key and on two users."""
        program = (
            "import sys; from example_app import create_app; from example_app.models import User, db\n"
            "print('ready', flush=True); sys.stdin.readline(); app = create_app()\n"
            "with app.app_context():\n"
            "    users = db.session.scalars(db.select(User.aegisspeed_id).order_by(User.id)).all()\n"
            "print(app.config['JWT_SECRET_KEY'], *users)\n"
        )
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=CHECKOUT,
                env={**os.environ, "FLASK_INSTANCE_PATH": str(apps.instance), **QUIET},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _ in range(6)
        ]
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 6
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        answers = [worker.communicate(timeout=120)[0] for worker in workers]
        assert answers == [f"{apps.key_file.read_text()} ASD000001 ASD000002\n"] * 6
        assert [worker.returncode for worker in workers] == [0] * 6


class TestConfiguredDatabase:
    """With a database URL, which several hosts may share, little is made up."""

    def test_other_database_gets_no_demo_users(self, apps: Apps, tmp_path: Path) -> None:
        """A database that is not the default one gets its tables, and nobody with a known password."""
        database = f"sqlite:///{tmp_path / 'other.db'}"
        assert users_of(apps.start(SQLALCHEMY_DATABASE_URI=database, JWT_SECRET_KEY=KEY)) == {}

    def test_demo_users_can_be_switched_off(self, apps: Apps) -> None:
        """The default database has no users either if the setting says so."""
        assert users_of(apps.start(DEMO_USERS=False)) == {}

    @pytest.mark.parametrize("key", [{}, {"JWT_SECRET_KEY": ""}])
    def test_database_without_a_key_is_refused(self, apps: Apps, tmp_path: Path, key: dict[str, str]) -> None:
        """Without a signing key, the start stops, says what to set, and creates nothing."""
        database = tmp_path / "other.db"
        with pytest.raises(
            ValueError, match=r"Set JWT_SECRET_KEY \(in the environment, FLASK_JWT_SECRET_KEY\)"
        ):
            apps.start(SQLALCHEMY_DATABASE_URI=f"sqlite:///{database}", **key)
        assert not database.exists()
        assert not apps.key_file.exists()


class TestSettings:
    """Where the settings come from."""

    @pytest.mark.parametrize("key", ["a key from the environment, long", "12345678901234567890123456789012"])
    def test_key_from_the_environment_stays_a_string(
        self, apps: Apps, monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        """A key from the environment is used, stays a string, and no file is written."""
        monkeypatch.setenv("FLASK_JWT_SECRET_KEY", key)
        assert apps.start().config["JWT_SECRET_KEY"] == key
        assert not apps.key_file.exists()

    def test_empty_key_in_the_environment_is_ignored(
        self, apps: Apps, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If the variable is empty, a key is created."""
        monkeypatch.setenv("FLASK_JWT_SECRET_KEY", "")
        assert apps.start().config["JWT_SECRET_KEY"] == apps.key_file.read_text()

    def test_argument_precedes_environment(self, apps: Apps, monkeypatch: pytest.MonkeyPatch) -> None:
        """A setting that is passed to the factory takes precedence over the environment."""
        monkeypatch.setenv("FLASK_JWT_SECRET_KEY", "a key from the environment, long")
        key = "a key from the argument, as long"
        assert apps.start(JWT_SECRET_KEY=key).config["JWT_SECRET_KEY"] == key

    def test_folder_may_have_any_name(self, tmp_path: Path) -> None:
        """A question mark in the path of the instance folder does not end the path of the database."""
        apps = Apps(tmp_path / "what? 100%")
        assert users_of(apps.start()).keys() == {"ASD000001", "ASD000002"}
        apps.close()
        assert (apps.instance / "example.db").exists()

    def test_environment_sets_folder_database_and_switch(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Instance folder, database URL and the switch of the endpoint are read from the environment."""
        monkeypatch.setenv("FLASK_INSTANCE_PATH", str(tmp_path / "instance"))
        monkeypatch.setenv("FLASK_SQLALCHEMY_DATABASE_URI", f"sqlite:///{tmp_path / 'elsewhere.db'}")
        monkeypatch.setenv("FLASK_JWT_SECRET_KEY", KEY)
        monkeypatch.setenv("FLASK_DEMO_USERS", "true")
        monkeypatch.setenv("FLASK_AEGIS_MACHINES_REGISTER_OPEN", "false")
        app = create_app()
        assert app.instance_path == str(tmp_path / "instance")
        assert (tmp_path / "elsewhere.db").exists()
        assert not (tmp_path / "instance" / "example.db").exists()
        answer = register(app.test_client(), "ASD000001")
        assert (answer.status_code, answer.json["code"]) == (403, "10001")
        with app.app_context():
            db.engine.dispose()

    def test_relative_folder_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A relative instance folder stops the start with the reason."""
        monkeypatch.setenv("FLASK_INSTANCE_PATH", "instance")
        with pytest.raises(ValueError, match="must be absolute"):
            create_app()
