"""The rendered Kubernetes manifests: valid by the real schemas of the three latest versions, and consistent with each
other and with the server. Run by deploy/test/manifests.sh."""

import copy
import re
import subprocess
import unittest
from importlib import resources
from pathlib import Path

import kubernetes_validate
import yaml

import test_monitoring

ROOT = Path(__file__).parents[2]
# Kinds that Kubernetes itself ships no schema for; deploy/test/schemas.sh validates them by their own projects'.
CUSTOM = {"ServiceMonitor", "PrometheusRule", "HTTPRoute"}
# Seconds of the termination grace that belong to neither preStop nor drain: LAST_BATCH, LAST_WORDS and twice LAST_SPANS
# of src/cli/serve.rs, and LINGER of src/http/connections.rs.
GRACE_MARGIN = 18


def render(overlay):
    text = subprocess.check_output(["kubectl", "kustomize", overlay], cwd=ROOT, text=True)
    return list(yaml.safe_load_all(text))


def latest_versions(count):
    """The newest Kubernetes versions that kubernetes-validate has strict schemas of."""
    schemas = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    names = (re.match(r"v(\d+)\.(\d+)\.\d+-local-strict", folder.name) for folder in schemas.iterdir())
    found = {tuple(map(int, name.groups())) for name in names if name}
    return [f"{major}.{minor}" for major, minor in sorted(found)[-count:]]


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


def one(documents, kind):
    (found,) = of_kind(documents, kind)
    return found


def settings(documents):
    """The environment of the container: the ConfigMap that the Deployment names."""
    (source,) = container(documents)["envFrom"]
    (found,) = [d for d in of_kind(documents, "ConfigMap") if d["metadata"]["name"] == source["configMapRef"]["name"]]
    return found["data"]


def pod(documents):
    return one(documents, "Deployment")["spec"]["template"]


def container(documents):
    (found,) = pod(documents)["spec"]["containers"]
    return found


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def octets(text):
    """Of a quantity as Kubernetes or the server writes it: 8Gi, 1500M, 25MB."""
    number, unit, binary = re.fullmatch(r"(\d+)([kMG])(i?)B?", text).groups()
    return int(number) * (1024 if binary else 1000) ** (" kMG".index(unit))


def targets(scaler):
    """What an autoscaler reads of each pod, and the mean that it aims at."""
    pods = [metric["pods"] for metric in scaler["spec"]["metrics"]]
    return {one["metric"]["name"]: one["target"]["averageValue"] for one in pods}


class Manifests:
    """What holds for every overlay; `overlay` is its folder."""

    @classmethod
    def setUpClass(cls):
        cls.documents = render(cls.overlay)
        cls.versions = latest_versions(3)

    def test_every_document_is_valid(self):
        self.assertEqual(len(self.versions), 3)
        checked = 0
        for document in self.documents:
            if document["kind"] in CUSTOM:
                continue
            for version in self.versions:
                with self.subTest(kind=document["kind"], name=document["metadata"]["name"], version=version):
                    kubernetes_validate.validate(document, version, strict=True)
                    checked += 1
        print(f"\n{checked} validations against Kubernetes {', '.join(self.versions)}")

    def test_the_schemas_catch_a_misspelt_field(self):
        broken = copy.deepcopy(one(self.documents, "Deployment"))
        (inner,) = broken["spec"]["template"]["spec"]["containers"]
        inner["readynessProbe"] = inner.pop("readinessProbe")
        for version in self.versions:
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(broken, version, strict=True)

    def test_everything_lives_in_one_namespace(self):
        namespaces = {d["metadata"].get("namespace") for d in self.documents if d["kind"] != "Namespace"}
        self.assertEqual(namespaces, {"san-upscaler"})

    def test_selectors_pick_the_pods(self):
        labels = pod(self.documents)["metadata"]["labels"].items()
        selectors = [
            one(self.documents, "Deployment")["spec"]["selector"]["matchLabels"],
            one(self.documents, "Service")["spec"]["selector"],
            one(self.documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            one(self.documents, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
            *(c["labelSelector"]["matchLabels"] for c in pod(self.documents)["spec"]["topologySpreadConstraints"]),
        ]
        self.assertEqual(len(selectors), 6)
        for selector in selectors:
            self.assertTrue(selector and selector.items() <= labels, selector)

    def test_ports_lead_to_the_container(self):
        ports = {port["name"]: port["containerPort"] for port in container(self.documents)["ports"]}
        self.assertEqual(settings(self.documents)["UPSCALER_LISTEN"], f"0.0.0.0:{ports['http']}")
        self.assertEqual(settings(self.documents)["UPSCALER_METRICS_LISTEN"], f"0.0.0.0:{ports['metrics']}")
        service = one(self.documents, "Service")["spec"]["ports"]
        self.assertLessEqual({port["targetPort"] for port in service}, ports.keys())
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertEqual(container(self.documents)[probe]["httpGet"]["port"], "http")
        for rule in one(self.documents, "NetworkPolicy")["spec"]["ingress"]:
            self.assertLessEqual({port["port"] for port in rule["ports"]}, ports.keys())
        names, numbers = {port["name"] for port in service}, {port["port"] for port in service}
        for ingress in of_kind(self.documents, "Ingress"):
            for rule in ingress["spec"]["rules"]:
                self.assertIn(rule["http"]["paths"][0]["backend"]["service"]["port"]["name"], names)
        for monitor in of_kind(self.documents, "ServiceMonitor"):
            self.assertEqual(monitor["spec"]["endpoints"][0]["port"], "metrics")
            self.assertLessEqual(
                monitor["spec"]["selector"]["matchLabels"].items(),
                one(self.documents, "Service")["metadata"]["labels"].items(),
            )
        for route in of_kind(self.documents, "HTTPRoute"):
            self.assertIn(route["spec"]["rules"][0]["backendRefs"][0]["port"], numbers)

    def test_each_overlay_has_one_way_in(self):
        self.assertEqual(len(of_kind(self.documents, "Ingress")) + len(of_kind(self.documents, "HTTPRoute")), 1)

    def test_the_way_in_outlasts_the_deadline(self):
        deadline = seconds(settings(self.documents)["UPSCALER_DEADLINE"])
        for ingress in of_kind(self.documents, "Ingress"):
            notes = ingress["metadata"]["annotations"]
            for kind in ("read", "send"):
                self.assertGreater(int(notes[f"nginx.ingress.kubernetes.io/proxy-{kind}-timeout"]), deadline)
            # nginx counts in mebibytes, and writes them 26m.
            body = octets(notes["nginx.ingress.kubernetes.io/proxy-body-size"].replace("m", "Mi"))
            self.assertGreater(body, octets(settings(self.documents).get("UPSCALER_MAX_BODY", "25MB")))
        for route in of_kind(self.documents, "HTTPRoute"):
            for timeout in route["spec"]["rules"][0]["timeouts"].values():
                self.assertGreater(seconds(timeout), deadline)

    def test_a_pod_may_drain_before_it_is_killed(self):
        values = settings(self.documents)
        sleep = container(self.documents)["lifecycle"]["preStop"]["sleep"]["seconds"]
        cap = seconds(values["UPSCALER_DRAIN_CAP"])
        self.assertGreater(cap, seconds(values.get("UPSCALER_DRAIN_GRACE", "0s")) + seconds(values["UPSCALER_DEADLINE"]))
        self.assertGreaterEqual(pod(self.documents)["spec"]["terminationGracePeriodSeconds"], sleep + cap + GRACE_MARGIN)

    def test_pods_keep_to_the_restricted_profile(self):
        spec, inner = pod(self.documents)["spec"], container(self.documents)
        self.assertTrue(spec["securityContext"]["runAsNonRoot"])
        self.assertEqual(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
        self.assertFalse(inner["securityContext"]["allowPrivilegeEscalation"])
        self.assertEqual(inner["securityContext"]["capabilities"], {"drop": ["ALL"]})
        self.assertTrue(inner["securityContext"]["readOnlyRootFilesystem"])
        for field in ("hostNetwork", "hostPID", "hostIPC", "initContainers"):
            self.assertNotIn(field, spec)
        for volume in spec.get("volumes", ()):
            self.assertEqual(volume.keys(), {"name", "secret"})
        for mount in inner.get("volumeMounts", ()):
            self.assertTrue(mount["readOnly"])
        for namespace in of_kind(self.documents, "Namespace"):
            self.assertEqual(namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted")

    def test_threads_come_from_the_quota(self):
        resources_ = container(self.documents)["resources"]
        self.assertEqual(resources_["requests"], resources_["limits"])
        self.assertEqual(resources_["limits"]["cpu"], str(int(resources_["limits"]["cpu"])))
        self.assertFalse({"UPSCALER_WORKERS", "UPSCALER_THREADS"} & settings(self.documents).keys())

    def test_the_autoscaler_owns_the_number_of_pods(self):
        for scaler in of_kind(self.documents, "HorizontalPodAutoscaler"):
            target = scaler["spec"]["scaleTargetRef"]
            self.assertEqual((target["kind"], target["name"]), ("Deployment", one(self.documents, "Deployment")["metadata"]["name"]))
            self.assertNotIn("replicas", one(self.documents, "Deployment")["spec"])
            self.assertGreaterEqual(scaler["spec"]["minReplicas"], 2)

    def test_the_autoscaler_reads_what_the_adapter_serves(self):
        served = {name for name, _, _ in test_monitoring.adapter()}
        for scaler in of_kind(self.documents, "HorizontalPodAutoscaler"):
            self.assertLessEqual(targets(scaler).keys(), served)

    def test_the_autoscaler_acts_before_an_alert(self):
        (saturated,) = [rule["expr"] for rule in test_monitoring.rules() if rule.get("alert") == "UpscalerSaturated"]
        for scaler in of_kind(self.documents, "HorizontalPodAutoscaler"):
            self.assertLess(float(targets(scaler)["upscaler_admitted_seconds"]), float(saturated.split(">")[1]))

    def test_every_setting_is_one_of_the_server(self):
        source = "".join(path.read_text() for path in (ROOT / "src").rglob("*.rs"))
        known = set(re.findall(r'env = "(UPSCALER_[A-Z_]+)"', source))
        self.assertGreater(len(known), 20)
        self.assertLessEqual(settings(self.documents).keys(), known)
        self.assertLessEqual({one["name"] for one in container(self.documents).get("env", ())}, known)

    def test_every_probe_is_a_route_of_the_contract(self):
        paths = yaml.safe_load((ROOT / "openapi.yaml").read_text())["paths"]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            self.assertIn("get", paths[container(self.documents)[probe]["httpGet"]["path"]])


class Cpu(Manifests, unittest.TestCase):
    overlay = "deploy/kubernetes/overlays/cpu"

    def test_nothing_goes_out(self):
        self.assertEqual(one(self.documents, "NetworkPolicy")["spec"]["egress"], [])


class Gpu(Manifests, unittest.TestCase):
    overlay = "deploy/kubernetes/overlays/gpu"

    def test_each_pod_has_a_card_and_uses_it(self):
        self.assertEqual(container(self.documents)["resources"]["limits"]["nvidia.com/gpu"], "1")
        self.assertEqual(settings(self.documents)["UPSCALER_PROVIDER"], "cuda")
        self.assertTrue(container(self.documents)["image"].endswith("-cuda"))
        self.assertIn("AS cuda\n", (ROOT / "Dockerfile").read_text())
        tolerated = [one["key"] for one in pod(self.documents)["spec"]["tolerations"]]
        self.assertIn("nvidia.com/gpu", tolerated)

    def test_the_autoscaler_acts_before_a_refusal(self):
        aims = targets(one(self.documents, "HorizontalPodAutoscaler"))
        memory = octets(settings(self.documents)["UPSCALER_MEMORY"])
        self.assertEqual(octets(aims["upscaler_inflight_bytes"]) * 2, memory)

    def test_memory_is_left_for_the_libraries(self):
        # docs/operations.md, "Size memory": what is admitted, the uploads, and a fifth; the rest is the idle server's.
        limit = octets(container(self.documents)["resources"]["limits"]["memory"])
        admitted = octets(settings(self.documents)["UPSCALER_MEMORY"])
        self.assertGreater(limit / 1.2 - admitted - limit / 8, octets("2GB"))

    def test_batches_are_powers_of_two(self):
        # What the pinned buffers of crates/inference/src/engine/pinned.rs are filled up to.
        batch = int(settings(self.documents)["UPSCALER_MAX_BATCH"])
        self.assertEqual(batch & (batch - 1), 0)


class Gateway(Manifests, unittest.TestCase):
    overlay = "deploy/test/gateway"

    def test_the_gateway_is_let_in(self):
        (parent,) = one(self.documents, "HTTPRoute")["spec"]["parentRefs"]
        http, _ = one(self.documents, "NetworkPolicy")["spec"]["ingress"]
        named = [peer["namespaceSelector"]["matchLabels"] for peer in http["from"] if "namespaceSelector" in peer]
        self.assertEqual(named, [{"kubernetes.io/metadata.name": parent["namespace"]}])

    def test_the_way_out_is_to_the_collector_that_is_named(self):
        host, namespace, port = re.fullmatch(
            r"http://([\w-]+)\.([\w-]+):(\d+)", settings(self.documents)["UPSCALER_OTLP_ENDPOINT"]
        ).groups()
        out, names = one(self.documents, "NetworkPolicy")["spec"]["egress"]
        (to,) = out["to"]
        self.assertEqual(to["namespaceSelector"]["matchLabels"], {"kubernetes.io/metadata.name": namespace})
        self.assertEqual([one["port"] for one in out["ports"]], [int(port)])
        self.assertEqual({one["port"] for one in names["ports"]}, {53})

    def test_keys_come_from_a_secret_that_may_change(self):
        (variable,) = [one for one in container(self.documents)["env"] if one["name"] == "UPSCALER_API_KEYS_FILE"]
        (mount,) = container(self.documents)["volumeMounts"]
        (volume,) = pod(self.documents)["spec"]["volumes"]
        self.assertEqual(variable["value"], f"{mount['mountPath']}/keys")
        self.assertEqual(mount["name"], volume["name"])
        self.assertNotIn("subPath", mount)
        self.assertNotIn("optional", volume["secret"])
        # Read by the group that the process has, and by nobody else.
        self.assertEqual(volume["secret"]["defaultMode"], 0o440)
        context = pod(self.documents)["spec"]["securityContext"]
        self.assertEqual(context["fsGroup"], context["runAsGroup"])


class Image(unittest.TestCase):
    def test_onnx_runtime_reports_to_nobody(self):
        stages = re.split(r"^FROM .* AS (\w+)$", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
        served = {name: text for name, text in zip(stages[1::2], stages[2::2]) if "ENTRYPOINT" in text}
        self.assertEqual(served.keys(), {"cpu", "cuda"})
        for name, text in served.items():
            self.assertIn("ENV ORT_DISABLE_TELEMETRY=1 ", text, name)
        self.assertIn("\nexport ORT_DISABLE_TELEMETRY := 1\n", (ROOT / "Makefile").read_text())


if __name__ == "__main__":
    unittest.main()
