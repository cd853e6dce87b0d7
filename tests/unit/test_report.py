"""The report for programs keeps to its documented schema."""

from __future__ import annotations

import json

import jsonschema
import pytest

from golabs_infra.report import Report, json_schema

from ..browser.samples import broken, clean, hostile, large
from ..support import REPOSITORY

SCHEMA = REPOSITORY / "docs" / "verify.schema.json"


def test_the_documented_schema_is_the_reports() -> None:
    made = json.dumps(json_schema(), indent=2) + "\n"
    assert SCHEMA.read_text(encoding="utf-8") == made, (
        "write it again: python -c 'import json; from golabs_infra.report import json_schema; "
        "print(json.dumps(json_schema(), indent=2))' > docs/verify.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "report", [clean(), broken(), hostile(), large(30)], ids=["clean", "broken", "hostile", "large"]
)
def test_a_report_as_json_is_valid_and_has_every_key(report: Report) -> None:
    document, schema = json.loads(json.dumps(report.as_json())), json_schema()
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document.keys() == schema["properties"].keys()
    assert document["proven"] is report.proven


def test_a_document_that_is_none_of_ours_is_not_valid() -> None:
    document = clean().as_json()
    del document["target"]["systemIdentifier"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, json_schema())
