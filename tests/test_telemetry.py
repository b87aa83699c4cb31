"""Who traces a client sees what it does, and how long each thing takes, and no secret."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from aiocos import (
    CosConfig,
    CosS3Client,
    NotFoundError,
    NotModifiedError,
    ParameterError,
    TransferError,
    TransportError,
)
from tests.conftest import BUCKET
from tests.support.parts import MIB, content, file_of, small_parts
from tests.support.traces import Traces

HOST = f"{BUCKET}.cos.ap-guangzhou.myqcloud.com"
OPERATION = "aiocos.operation.duration"
REQUEST = "http.client.request.duration"


@pytest.fixture
def traces():
    return Traces()


@pytest.fixture
def traced(make_client, traces, tmp_path):
    return make_client(telemetry=traces.telemetry, transfers=small_parts(tmp_path))


async def test_a_call_is_a_span_with_its_attempt_inside(traced, traces, emulator):
    """A PUT is one span of the operation and one of the request, as HTTP clients tell it."""
    result = await traced.put_object(BUCKET, b"hello", "secret/name")
    assert traces.tree() == {"": {"cos PutObject": 1}, "cos PutObject": {"PUT": 1}}
    server = {"server.address": HOST, "server.port": 80, "url.scheme": "http"}
    answer = {"http.response.status_code": 200, "cos.request_id": result["x-cos-request-id"]}
    put = traces.one("PUT")
    assert put.kind is SpanKind.CLIENT
    assert dict(put.attributes) == server | answer | {
        "http.request.method": "PUT",
        "http.request.body.size": 5,
        "http.response.body.size": 0,
    }
    operation = traces.one("cos PutObject")
    assert operation.kind is SpanKind.INTERNAL
    assert dict(operation.attributes) == server | answer | {
        "http.request.method": "PUT",
        "cos.operation": "PutObject",
        "cos.bucket": BUCKET,
        "cos.attempts": 1,
    }
    assert operation.status.status_code is StatusCode.UNSET
    assert operation.instrumentation_scope.name == "aiocos"
    labels = {"cos.operation": "PutObject", "http.response.status_code": 200}
    assert traces.points(OPERATION) == [(labels, 1)]
    assert traces.points(REQUEST) == [({**labels, **server, "http.request.method": "PUT"}, 1)]


async def test_keys_are_told_when_asked_for(make_client):
    """An object's key is in no span or metric, unless ``keys=True``; a query never is."""
    for keys in (False, True):
        traces = Traces(keys=keys)
        client = make_client(telemetry=traces.telemetry)
        await client.put_object(BUCKET, b"x", "patients/Ann é")
        with pytest.raises(NotFoundError):
            await client.upload_part(BUCKET, "patients/Ann é", b"x", 1, "the-upload-id")
        assert ("patients" in traces.everything()) is keys
        assert "the-upload-id" not in traces.everything()
    operations = traces.spans("cos PutObject") + traces.spans("cos UploadPart")
    assert {span.attributes["cos.key"] for span in operations} == {"patients/Ann é"}
    url = f"http://{HOST}/patients/Ann%20%C3%A9"
    assert traces.spans("PUT")[1].attributes["url.full"].endswith("/patients/Ann%20%C3%A9")
    assert len({span.attributes["url.full"] for span in traces.spans("PUT")}) == 1, url


async def test_each_repeat_says_why_and_after_how_long(traced, traces, emulator):
    """Two refusals make three attempts: the second and the third say what they waited for."""
    emulator.fail("PutObject", status=503, code="SlowDown", times=2)
    await traced.put_object(BUCKET, b"x", "k")
    first, second, third = traces.spans("PUT")
    assert [span.attributes["http.response.status_code"] for span in (first, second, third)] == [
        503, 503, 200,
    ]  # fmt: skip
    assert "http.request.resend_count" not in first.attributes
    assert first.status.status_code is second.status.status_code is StatusCode.ERROR
    assert first.attributes["error.type"] == "SlowDown"
    for number, span in enumerate((second, third), start=1):
        assert span.attributes["http.request.resend_count"] == number
        assert span.attributes["cos.retry.reason"] == "SlowDown"
        assert 0 <= span.attributes["cos.retry.delay"] < 1
    operation = traces.one("cos PutObject")
    assert operation.status.status_code is StatusCode.UNSET
    assert operation.attributes["cos.attempts"] == 3
    assert [event.name for event in operation.events] == ["retry", "retry"]
    retried = {"cos.operation": "PutObject", "error.type": "SlowDown"}
    assert traces.points("aiocos.retries") == [(retried, 2)]
    assert traces.points("aiocos.throttled") == [({"cos.operation": "PutObject"}, 2)]
    assert (traces.total(REQUEST), traces.total(OPERATION)) == (3, 1)


async def test_a_body_that_is_resumed_counts_as_a_repeat(traced, traces, emulator):
    """A body that breaks off is a retry of the caller's span, and a second operation."""
    await emulator.put(BUCKET, "k", content(300_000))
    emulator.fail("GetObject", reset_response=100_000, times=1)
    with traces.provider.get_tracer("an application").start_as_current_span("mine"):
        response = await traced.get_object(BUCKET, "k")
        assert await response["Body"].read() == content(300_000)
    assert traces.tree()["mine"] == {"cos GetObject": 2}
    (event,) = traces.one("mine").events
    assert (event.name, event.attributes["cos.retry.reason"]) == ("retry", "TransportError")
    labels = {"cos.operation": "GetObject", "error.type": "TransportError"}
    assert traces.points("aiocos.retries") == [(labels, 1)]


async def test_a_refusal_is_told_by_its_code(traced, traces):
    """A failed span has COS's code, status and request id, and no message that quotes a key."""
    with pytest.raises(NotFoundError) as caught:
        await traced.get_object(BUCKET, "private-name")
    for span in traces.spans():
        assert (span.status.status_code, span.status.description) == (
            StatusCode.ERROR,
            "NoSuchKey",
        )
        assert span.attributes["error.type"] == "NoSuchKey"
        assert span.attributes["http.response.status_code"] == 404
        assert span.attributes["cos.request_id"] == caught.value.request_id
    labels = {"cos.operation": "GetObject", "error.type": "NoSuchKey"}
    assert traces.points(OPERATION) == [({**labels, "http.response.status_code": 404}, 1)]
    assert "private-name" not in traces.everything()


async def test_what_was_not_modified_is_no_failure(traced, traces, emulator):
    """304 is what the caller asked to be told: the span is not marked as failed."""
    stored = await traced.put_object(BUCKET, b"x", "k")
    with pytest.raises(NotModifiedError):
        await traced.get_object(BUCKET, "k", IfNoneMatch=stored["ETag"])
    assert {span.status.status_code for span in traces.spans()} == {StatusCode.UNSET}


async def test_no_answer_has_no_status(make_client, traces):
    """A server that is not there leaves attempts without a status, and the class of error."""
    client = make_client(telemetry=traces.telemetry, Port=1)
    with pytest.raises(TransportError):
        await client.head_bucket(BUCKET)
    assert len(traces.spans("HEAD")) == 5
    for span in traces.spans():
        assert "http.response.status_code" not in span.attributes
        assert "cos.request_id" not in span.attributes
        assert span.attributes["error.type"] == "TransportError"


async def test_a_code_that_is_no_word_is_not_repeated(traced, traces, emulator):
    """What a server puts into the place of the code cannot become a label of its own."""
    odd = "https://a/?q-signature=1 of a key"
    emulator.fail("HeadObject", status=404, headers={"x-cos-error-code": odd})
    with pytest.raises(NotFoundError):
        await traced.head_object(BUCKET, "k")
    assert traces.one("HEAD").attributes["error.type"] == "NotFoundError"
    assert "q-signature" not in traces.everything()


async def test_a_cancelled_call_ends_its_spans(traced, traces, emulator):
    """Who cancels a call in flight finds its spans ended, and said to be cancelled."""
    emulator.fail("PutObject", delay_s=0.5)
    task = asyncio.create_task(traced.put_object(BUCKET, b"x", "k"))
    while not emulator.count("PutObject"):
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [span.name for span in traces.spans()] == ["PUT", "cos PutObject"]
    assert {span.attributes["error.type"] for span in traces.spans()} == {"CancelledError"}
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_an_upload_in_parts_is_one_tree(traced, traces, emulator, tmp_path):
    """All requests of an upload are under its span, its repeats too, and the bytes add up."""
    emulator.fail("UploadPart", part=2, status=503, times=1)
    size = 3 * MIB + 5
    await traced.upload_file(BUCKET, "k", file_of(tmp_path, size), PartSize=1)
    assert traces.tree() == {
        "": {"cos upload": 1},
        "cos upload": {
            "cos CreateMultipartUpload": 1,
            "cos UploadPart": 4,
            "cos CompleteMultipartUpload": 1,
        },
        "cos CreateMultipartUpload": {"POST": 1},
        "cos UploadPart": {"PUT": 5},
        "cos CompleteMultipartUpload": {"POST": 1},
    }
    upload = traces.one("cos upload")
    assert dict(upload.attributes) == {
        "cos.transfer": "upload",
        "cos.bucket": BUCKET,
        "cos.verified": "crc64",
        "cos.bytes": size,
    }
    kind = {"cos.transfer": "upload"}
    assert traces.points("aiocos.transfer.bytes") == [(kind, size)]
    assert traces.points("aiocos.transfer.parts") == [(kind, 4)]
    assert traces.points("aiocos.transfer.active") == [(kind, 0)]
    assert traces.total("aiocos.transfer.retries") == 1


@pytest.mark.parametrize("size", [0, 1000])
async def test_transfers_in_one_request_count_too(make_client, traces, tmp_path, size):
    """The bytes of a small file count once it is there."""
    traced = make_client(telemetry=traces.telemetry)
    source = {"Bucket": BUCKET, "Key": "k", "Region": "ap-guangzhou"}
    await traced.upload_file(BUCKET, "k", file_of(tmp_path, size))
    await traced.download_file(BUCKET, "k", tmp_path / "back")
    await traced.copy(BUCKET, "copy", source)
    for name in ("upload", "download", "copy"):
        moved = dict.fromkeys([size] if size else [], name)
        counted = [
            value
            for labels, value in traces.points("aiocos.transfer.bytes")
            if labels == {"cos.transfer": name}
        ]
        assert counted == list(moved)
        assert traces.one(f"cos {name}").attributes["cos.bytes"] == size


async def test_a_directory_is_one_tree(make_client, traces, tmp_path):
    """All files of a directory are under its span, large and small, and all bytes count."""
    traced = make_client(telemetry=traces.telemetry, transfers=small_parts(tmp_path, single_mib=1))
    folder = tmp_path / "tree"
    folder.mkdir()
    file_of(folder, 1000, "small")
    file_of(folder, MIB + 1, "large")
    await traced.upload_dir(BUCKET, "tree", folder)
    await traced.download_dir(BUCKET, "tree", tmp_path / "back")
    await traced.delete_prefix(BUCKET, "tree/")
    tree = traces.tree()
    assert tree[""] == {"cos upload_dir": 1, "cos download_dir": 1, "cos delete_prefix": 1}
    assert tree["cos upload_dir"] == {"cos upload": 2}
    assert tree["cos download_dir"] == {"cos ListObjects": 1, "cos download": 2}
    assert tree["cos download"]["cos GetObject"] == 3
    for way in ("upload", "download"):
        moved = [v for k, v in traces.points("aiocos.transfer.bytes") if k["cos.transfer"] == way]
        assert moved == [MIB + 1001]
    assert traces.total("aiocos.transfer.active") == 0


async def test_a_directory_that_failed_in_part_says_so(traced, traces, emulator, tmp_path):
    """The span of a directory of which one file failed is marked with that failure."""
    emulator.fail("*", key="tree/bad", status=403, code="AccessDenied")
    (tmp_path / "tree").mkdir()
    for name in ("bad", "good"):
        file_of(tmp_path / "tree", 1000, name)
    with pytest.raises(TransferError):
        await traced.upload_dir(BUCKET, "tree", tmp_path / "tree")
    assert traces.one("cos upload_dir").attributes["error.type"] == "AccessDenied"
    assert len(traces.spans("cos upload")) == 2


async def test_a_resumed_transfer_counts_what_it_moves(traced, traces, emulator, tmp_path):
    """A second call that finds two parts of four done counts the other two."""
    source = file_of(tmp_path, 4 * MIB)
    emulator.fail("UploadPart", after=2, status=400)
    with pytest.raises(TransferError):
        await traced.upload_file(BUCKET, "k", source, PartSize=1, MAXThread=1)
    assert traces.total("aiocos.transfer.active") == 0
    assert traces.total("aiocos.transfer.bytes") == 2 * MIB
    emulator.heal()
    await traced.upload_file(BUCKET, "k", source, PartSize=1, MAXThread=1)
    failed, resumed = traces.spans("cos upload")
    assert failed.attributes["error.type"] == "InvalidRequest"
    assert resumed.attributes["cos.resumed_bytes"] == 2 * MIB
    assert traces.total("aiocos.transfer.bytes") == 4 * MIB


async def test_each_call_has_the_span_of_its_own_task_as_parent(traced, traces, emulator, tmp_path):
    """Two tasks that trace have their calls and transfers each under their own spans."""
    tracer = traces.provider.get_tracer("an application")
    await emulator.put(BUCKET, "k", content(2 * MIB))

    async def work(name):
        with tracer.start_as_current_span(name):
            handle = traced.start_download(BUCKET, "k", tmp_path / name, PartSize=1)
            await traced.head_object(BUCKET, "k")
            await handle

    async with asyncio.TaskGroup() as group:
        for name in ("a", "b"):
            group.create_task(work(name))
    for name in ("a", "b"):
        (root,) = traces.spans(name)
        mine = [s for s in traces.spans() if s.context.trace_id == root.context.trace_id]
        assert sorted(s.name for s in mine if s.name.startswith("cos ")) == [
            "cos GetObject",
            "cos GetObject",
            "cos HeadObject",
            "cos HeadObject",
            "cos download",
        ]
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_nothing_more_is_sent_than_without(traced, traces, emulator):
    """The trace stays here: no request carries its id."""
    with traces.provider.get_tracer("an application").start_as_current_span("a"):
        await traced.put_object(BUCKET, b"x", "k")
    (record,) = [record for record in emulator.requests if record.operation == "PutObject"]
    sent = {name.lower() for name, _ in record.headers}
    assert "authorization" in sent
    assert not {"traceparent", "tracestate", "baggage"} & sent


def test_telemetry_must_be_one():
    """Something else in its place is refused before anything is sent."""
    with pytest.raises(ParameterError, match=r"aiocos\.telemetry\.Telemetry"):
        CosS3Client(CosConfig(Region="ap-guangzhou", Anonymous=True), telemetry=True)


ABSENT = """
    import sys
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "opentelemetry":
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Absent())
    import asyncio, tempfile, aiocos
    from aiocos import *
    async def main(folder):
        async with CosS3Client(CosConfig.local(folder)) as client:
            await client.put_object("examplebucket-1250000000", b"x", "k")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))
    print("opentelemetry" in sys.modules, "aiocos.telemetry" in sys.modules)
    try:
        import aiocos.telemetry
    except ImportError as error:
        print(error)
"""


def test_without_the_extra_everything_else_works():
    """Where OpenTelemetry is absent nothing asks for it, but telemetry, which says what to do."""
    script = textwrap.dedent(ABSENT)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == [
        "False False",
        "telemetry needs OpenTelemetry: pip install 'aiocos[otel]'",
    ]


def test_with_the_extra_it_is_loaded_on_demand_only():
    """A client without telemetry loads nothing of OpenTelemetry, even where it is installed."""
    script = "import sys, aiocos.client, aiocos.types; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.split() == [b"False"]
