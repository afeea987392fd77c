"""The KubeRay template: its own fields against what the operator's API takes, its pods against Kubernetes' own types.

The operator's published schema is not at hand here, so its field names stand below as they are in API version ray.io/v1
(1.5). What is not checked: defaults and rules that only the operator or an API server applies.
"""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
import yaml
from kubernetes.client import models
from pydantic import ValidationError

from launch.cluster.file import template

CLUSTER, JOB = yaml.safe_load_all(template("kuberay"))

COUNT = {"type": "integer", "minimum": 0}
PARAMETERS = {"type": "object", "additionalProperties": {"type": "string"}}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


CLUSTER_SPEC = closed(
    ["headGroupSpec"],
    rayVersion={"type": "string"},
    authOptions=closed([], mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling={"type": "boolean"},
    autoscalerOptions=closed(
        [],
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        idleTimeoutSeconds={"type": "integer"},
        version={"enum": ["v1", "v2"]},
    ),
    headGroupSpec=closed(["template"], rayStartParams=PARAMETERS, template={"type": "object"}),
    workerGroupSpecs={
        "type": "array",
        "items": closed(
            ["groupName", "template", "minReplicas", "maxReplicas"],
            groupName={"type": "string"},
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=PARAMETERS,
            template={"type": "object"},
        ),
    },
)
JOB_SPEC = closed(
    ["entrypoint"],
    entrypoint={"type": "string"},
    clusterSelector=PARAMETERS,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
    shutdownAfterJobFinishes={"type": "boolean"},
)


def resource(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return closed(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": "ray.io/v1"},
        kind={"const": kind},
        metadata=closed(["name"], name={"type": "string"}),
        spec=spec,
    )


def strangers(pod: dict[str, Any]) -> list[str]:
    """Where a pod template is not of Kubernetes' types, as dotted places: names that they do not have included."""
    try:
        models.V1PodTemplateSpec.model_validate(pod, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        return sorted(".".join(map(str, found["loc"])) for found in error.errors())
    return []


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    return [group["template"] for group in groups]


def test_cluster_and_job_are_what_the_operator_takes() -> None:
    jsonschema.validate(CLUSTER, resource("RayCluster", CLUSTER_SPEC))
    jsonschema.validate(JOB, resource("RayJob", JOB_SPEC))
    assert JOB["spec"]["clusterSelector"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}


@pytest.mark.parametrize("role", [0, 1])
def test_pods_are_what_kubernetes_takes(role: int) -> None:
    pod = pods(CLUSTER)[role]
    assert strangers(pod) == []
    [container] = pod["spec"]["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["spec"]["volumes"]
    }
    assert {"name": "RAY_ENABLE_UV_RUN_RUNTIME_ENV", "value": "0"} in container["env"]


def test_what_is_no_pod_is_found() -> None:
    damaged = copy.deepcopy(pods(CLUSTER)[0])
    damaged["spec"]["containers"][0]["volumeMount"] = []
    damaged["spec"]["containers"][0]["env"] = {"name": "A"}
    damaged["spec"]["nodeSelector"] = {"spot": True}
    damaged["spec"]["terminationGracePeriodSeconds"] = "30"
    assert strangers(damaged) == [
        "spec.containers.0.env",
        "spec.containers.0.volumeMount",
        "spec.nodeSelector.spot",
        "spec.terminationGracePeriodSeconds",
    ]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("authOptions", {"mode": "tokens"}),
        ("workerGroupSpec", []),
        ("autoscalerOptions", {"idleTimeoutSeconds": "600"}),
    ],
)
def test_a_damaged_cluster_is_refused(place: str, value: Any) -> None:
    damaged = copy.deepcopy(CLUSTER)
    damaged["spec"][place] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(damaged, resource("RayCluster", CLUSTER_SPEC))


def test_the_promises_of_every_cluster_hold() -> None:
    spec = CLUSTER["spec"]
    assert spec["authOptions"] == {"mode": "token"}
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}  # no trial lands on the head
    head, worker = (pod["spec"]["containers"][0] for pod in pods(CLUSTER))
    assert "nvidia.com/gpu" not in head["resources"]["limits"]
    [group] = spec["workerGroupSpecs"]
    assert group["minReplicas"] == group["replicas"] == 0 < group["maxReplicas"]
    assert worker["resources"]["requests"] == worker["resources"]["limits"]
    assert worker["image"] == head["image"]
