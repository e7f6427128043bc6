"""Small programs for applications that are libraries: what their own documentation begins with."""

DASH = """
from dash import Dash, html
made = Dash("dashing")
made.layout = html.Div("numbers")
app = made.server
"""

SQLADMIN = """
from fastapi import FastAPI
from sqladmin import Admin, ModelView
from sqlalchemy import Column, Integer, String, create_engine
from sqlalchemy.orm import declarative_base

Base = declarative_base()
engine = create_engine("sqlite:///people.sqlite", connect_args={"check_same_thread": False})

class Person(Base):
    __tablename__ = "people"
    id = Column(Integer, primary_key=True)
    name = Column(String)

class PersonAdmin(ModelView, model=Person):
    column_list = [Person.id, Person.name]

Base.metadata.create_all(engine)
app = FastAPI()
admin = Admin(app, engine)
admin.add_view(PersonAdmin)
"""

LOCUST = """
from locust import HttpUser, task

class Visitor(HttpUser):
    @task
    def look(self):
        pass
"""

LITELLM = """
model_list:
  - model_name: echo
    litellm_params: {model: openai/echo, api_key: none, mock_response: "hello"}
general_settings: {dangerously_permit_weak_or_unset_master_key: true}
"""

BENTO = """
import bentoml

@bentoml.service(workers=2)
class Echo:
    @bentoml.api
    def echo(self, text: str) -> str:
        return text
"""

LITELLM_METRICS = """
import litellm
from fastapi import FastAPI
from litellm.integrations.prometheus import PrometheusLogger

litellm.callbacks = [PrometheusLogger()]
app = FastAPI()

@app.get("/hit")
async def hit():
    await litellm.acompletion(
        model="openai/echo", messages=[{"role": "user", "content": "hello"}], mock_response="hello"
    )
    return "ok"
"""

BENTO_METRICS = """
import bentoml

HITS = bentoml.metrics.Counter("hits", "Calls", labelnames=["kind"])

@bentoml.service(workers=4)
class Hits:
    @bentoml.api
    def hit(self) -> str:
        HITS.labels(kind="echo").inc()
        return "ok"
"""
