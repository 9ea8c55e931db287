"""FastAPI with pydantic, and SQLAlchemy's asyncio session; it inserts and catches the key's error."""

from __future__ import annotations

import os
import uuid
from datetime import datetime, timezone
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field
from sqlalchemy import Column, ForeignKey, Integer, String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import declarative_base

from flask_aegis_machines._answers import (
    INVALID_REQUEST,
    MISMATCH,
    NO_USER,
    REGISTERED,
    TAKEN,
    UNAUTHORIZED,
    Answer,
)
from flask_aegis_machines._endpoint_definitions import REGISTER
from flask_aegis_machines._redaction import redact
from flask_aegis_machines.stores.sqlalchemy import MachineMixin
from tests.benchmarks.contract import DATABASE_VARIABLE, SECRET, envelope

Base: Any = declarative_base()
Fact = Annotated[str, Field(min_length=1, max_length=255)]


class User(Base):
    """A user."""

    __tablename__ = "user"
    id = Column(Integer, primary_key=True)
    aegisspeed_id = Column(String(9), unique=True)
    id_number = Column(String(18))


class Machine(MachineMixin, Base):
    """A machine of a user's."""

    __tablename__ = "machine"
    id = Column(Integer, primary_key=True)
    user_id = Column(ForeignKey("user.id"), nullable=False)


class Registration(BaseModel):
    """The body of a registration."""

    aegisspeed_id: Annotated[str, Field(alias="user_AegisSpeed_id", min_length=9, max_length=9)]
    machine_code: Annotated[str, Field(min_length=32, max_length=32)]
    windows_uuid: Fact
    windows_product_id: Fact
    machine_os_name: Fact
    machine_os_version: Fact
    machine_architecture: Fact
    machine_architecture_type: Fact
    machine_platform: Fact
    machine_cpu: Fact
    machine_motherboard: Fact
    machine_mac_address: Fact


class NoToken(Exception):
    """There is no valid access token."""


Header = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]


async def identify(header: Header) -> int:
    try:
        claims = jwt.decode(header.credentials if header else "", SECRET, algorithms=["HS256"])
        if claims["type"] != "access":
            raise NoToken
        return int(claims["sub"])
    except (jwt.InvalidTokenError, KeyError, ValueError):
        raise NoToken from None


Identity = Annotated[int, Depends(identify)]


def respond(answer: Answer, data: dict[str, Any] | None = None) -> JSONResponse:
    return JSONResponse(envelope(answer, data), answer.status)


def create_app() -> FastAPI:
    """Build the app."""
    url = os.environ[DATABASE_VARIABLE]
    for driver, asynchronous in (("sqlite:", "sqlite+aiosqlite:"), ("+pymysql:", "+asyncmy:")):
        url = url.replace(driver, asynchronous)
    sessions = async_sessionmaker(create_async_engine(url), expire_on_commit=False)
    app = FastAPI()

    @app.exception_handler(NoToken)
    async def refuse_token(request: Request, error: NoToken) -> JSONResponse:
        return respond(UNAUTHORIZED)

    @app.exception_handler(RequestValidationError)
    async def refuse_fields(request: Request, error: RequestValidationError) -> JSONResponse:
        errors: dict[str, list[str]] = {}
        for each in error.errors():
            errors.setdefault(str(each["loc"][-1]), []).append(each["msg"])
        return respond(INVALID_REQUEST, {"errors": errors})

    @app.post(REGISTER.path)
    async def register(registration: Registration, identity: Identity) -> JSONResponse:
        async with sessions() as session:
            user = await session.get(User, identity)
            if user is None:
                return respond(NO_USER)
            if user.aegisspeed_id != registration.aegisspeed_id:
                return respond(MISMATCH)
            session.add(
                Machine(
                    **registration.model_dump(exclude={"aegisspeed_id"}),
                    user_id=user.id,
                    registered_at=datetime.now(timezone.utc),
                    attempt=uuid.uuid4().hex,
                )
            )
            try:
                await session.commit()
            except IntegrityError:
                return respond(TAKEN)
        data = {"machine_code": registration.machine_code, "user_id": redact(user.id_number)}
        return respond(REGISTERED, data)

    return app
