"""fastapi-users: bearer tokens kept in Redis, users in SQLite, as in its full example."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, RedisStrategy
from fastapi_users.db import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from redis import asyncio as redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class UserManager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    pass


engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['DATA_DIR']}/users.db")
session_maker = async_sessionmaker(engine, expire_on_commit=False)
tokens = redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


async def get_session() -> AsyncIterator[AsyncSession]:
    async with session_maker() as session:
        yield session


async def get_user_db(session: Annotated[AsyncSession, Depends(get_session)]) -> AsyncIterator:
    yield SQLAlchemyUserDatabase(session, User)


async def get_user_manager(user_db: Annotated[SQLAlchemyUserDatabase, Depends(get_user_db)]) -> AsyncIterator:
    yield UserManager(user_db)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield


backend = AuthenticationBackend(
    name="redis",
    transport=BearerTransport(tokenUrl="auth/redis/login"),
    get_strategy=lambda: RedisStrategy(tokens, lifetime_seconds=3600),
)
users = FastAPIUsers[User, uuid.UUID](get_user_manager, [backend])
app = FastAPI(lifespan=lifespan)
app.include_router(users.get_auth_router(backend), prefix="/auth/redis")
app.include_router(
    users.get_register_router(schemas.BaseUser[uuid.UUID], schemas.BaseUserCreate), prefix="/auth"
)


@app.get("/v1/backoffice/auth", response_model=schemas.BaseUser[uuid.UUID])
async def who_am_i(user: Annotated[User, Depends(users.current_user(active=True))]) -> User:
    return user
