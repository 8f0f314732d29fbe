"""Results against their JSON Schema, made ready once: to check the schema with every result took 0.1 s."""

from __future__ import annotations

import jsonschema

from fer_bench import results

validate = jsonschema.Draft202012Validator(results.schema()).validate
