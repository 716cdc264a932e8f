"""The app as programs meet it: its endpoints, and what strangers might try."""

import copy
import csv
import http.client
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from typer.testing import CliRunner

from dpiqa import DPIQAImageProcessor, Scorer
from dpiqa.cli import app
from dpiqa.demo import connections, gate, limits, scored_uploads, storage, views
from dpiqa.demo.app import card_text
from dpiqa.demo.limits import LOCAL, PUBLIC
from dpiqa.demo.uploads import Upload
from dpiqa.scoring.scorer import Score
from support import loops, teachers
from support.demo_app import running
from support.hub_cache import add_to_cache
from support.images import encoded
from support.patience import PATIENCE, get, post, stream, wait_for

# gradio's own, in its server's threads.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*no_silent_downcasting", "ignore:The copy keyword is deprecated", "ignore::ResourceWarning"
)

# Less than the 20 seconds after which the app itself gives up a connection: what a test sets has to take effect.
PROMPT = 10

REFUSED = "Only uploaded photos are taken: no paths, no URLs."


@pytest.fixture(scope="module")
def scorer(_tiny_student):
    processor = DPIQAImageProcessor(size={"height": 64, "width": 64})
    limited = {"max_pixels": PUBLIC.max_pixels, "formats": limits.FORMATS}
    return Scorer(copy.deepcopy(_tiny_student), processor, workers=1, **limited)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def url(scorer, folder):
    with running(scorer, folder) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    return Client(url, verbose=False)


@pytest.fixture
def photo_file(photo, save):
    return save(photo, "china.png")


def upload(url, data, name="photo.png"):
    """Uploads as a browser does and returns the path on the server."""
    response = post(f"{url}gradio_api/upload", files={"files": (name, data)})
    response.raise_for_status()
    return response.json()[0]


def call(url, endpoint, *data):
    """Calls a named endpoint without gradio's client, which uploads local files; returns (event, answer)."""
    started = post(f"{url}gradio_api/call/{endpoint}", json={"data": list(data)})
    started.raise_for_status()
    with stream("GET", f"{url}gradio_api/call/{endpoint}/{started.json()['event_id']}") as answer:
        lines = "".join(answer.iter_text()).strip().split("\n")
    return lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))


def file_data(path, **more):
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


class TestEndpoints:
    def test_score(self, client, scorer, photo_file):
        answer = client.predict(handle_file(photo_file), api_name="/score")
        assert answer["score"] == pytest.approx(scorer(photo_file).score, abs=1e-5)  # five decimals
        assert (answer["name"], answer["width"], answer["height"], answer["error"]) == ("china.png", 640, 427, None)

    def test_score_of_a_corrupt_file_says_why(self, client, tmp_path):
        (tmp_path / "broken.jpg").write_bytes(b"hello")
        answer = client.predict(handle_file(tmp_path / "broken.jpg"), api_name="/score")
        assert answer["score"] is None
        assert "not an image" in answer["error"]

    def test_rank(self, client, scorer, photos, save, tmp_path):
        (tmp_path / "empty.jpg").touch()
        files = [tmp_path / "empty.jpg", save(photos[0], "a.png"), save(photos[1], "b.png")]
        answer = client.predict([handle_file(file) for file in files], api_name="/rank")
        assert [row["error"] is None for row in answer] == [True, True, False]
        assert answer[0]["score"] >= answer[1]["score"]
        assert answer[2]["error"] == "the file is empty."

    def test_rank_takes_a_limited_number(self, client, photo_file):
        with pytest.raises(Exception, match="1 to 30 photos, and this one has 31"):
            client.predict([handle_file(photo_file)] * 31, api_name="/rank")

    def test_distort(self, client, photo_file):
        answer = client.predict(handle_file(photo_file), 0, 80, 0, 0, api_name="/distort")
        assert [share for share, _ in answer["curve"]] == [0, 0.25, 0.5, 0.75, 1]
        assert answer["curve"][0][1] == answer["original"]
        assert answer["curve"][-1][1] == answer["score"] != answer["original"]

    @pytest.mark.parametrize("strength", [-1, 101, "much", None, 1e999])
    def test_distort_takes_strengths_from_0_to_100(self, url, photo, strength):
        data = file_data(upload(url, encoded(photo, "PNG")))
        event, _ = call(url, "distort", data, str(strength) if strength == 1e999 else strength, 0, 0, 0)
        assert event == "error"

    def test_they_are_documented(self, client):
        endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
        assert set(endpoints) == {"/score", "/rank", "/distort"}
        assert all(endpoint["description"] for endpoint in endpoints.values())


class TestStrangers:
    @pytest.mark.parametrize(
        "path", ["/etc/passwd", "setup.py", "../etc/passwd", "", "/dev/zero", "/etc/passwd\0.png"]
    )
    def test_paths_are_refused(self, url, path):
        assert call(url, "score", file_data(path)) == ("error", {"error": REFUSED, **_ERROR_FIELDS})

    def test_links_out_of_the_temporary_folder_are_refused(self, url, folder):
        (folder / "link.png").symlink_to("/etc/passwd")
        assert call(url, "score", file_data(str(folder / "link.png")))[1]["error"] == REFUSED

    def test_the_temporary_folder_itself_is_refused(self, url, folder):
        assert call(url, "score", file_data(str(folder)))[1]["error"] == REFUSED

    @pytest.mark.parametrize("endpoint", ["score", "rank", "distort"])
    def test_urls_are_refused_and_never_fetched(self, url, canary, endpoint):
        for payload in (
            file_data(canary.url),
            file_data(None, url=canary.url),
            {"url": canary.url},
            file_data("data:image/png;base64,iVBORw0KGgo="),
            {"path": canary.url},
        ):
            event, answer = call(url, endpoint, [payload] if endpoint == "rank" else payload)
            assert (event, answer["error"]) == ("error", REFUSED)
        assert canary.requests == []

    def test_a_url_beside_an_upload_is_dropped(self, url, photo, canary):
        data = file_data(upload(url, encoded(photo, "PNG")), url=canary.url)
        assert call(url, "score", data)[0] == "complete"
        assert canary.requests == []

    def test_files_hidden_in_other_arguments_are_refused(self, url, photo, canary):
        data = file_data(upload(url, encoded(photo, "PNG")))
        assert call(url, "distort", data, {"deep": [file_data(canary.url)]}, 0, 0, 0)[1]["error"] == REFUSED
        assert canary.requests == []

    @pytest.mark.parametrize("payload", ["china.png", 7, [], {}, None])
    def test_other_payloads_are_polite_errors(self, url, payload):
        event, answer = call(url, "score", payload)
        assert (event, answer["error"]) == ("error", "Expected an uploaded photo.")

    def test_events_of_the_page_refuse_paths_too(self, url):
        config = get(f"{url}config").json()
        for event in config["dependencies"]:
            inputs = [file_data("/etc/passwd") for _ in event["inputs"]]
            if not inputs or not event["backend_fn"]:
                continue
            body = {"data": inputs, "fn_index": event["id"], "session_hash": f"s{event['id']}"}
            post(f"{url}gradio_api/queue/join", json=body).raise_for_status()
            messages = _messages(url, f"s{event['id']}")
            assert REFUSED in messages, event

    @pytest.mark.parametrize(
        "path",
        [
            "file=/etc/passwd",
            "file={cwd}/setup.py",
            "file={folder}",
            "file={folder}/",
            "file={folder}/../outside.txt",
            "file={folder}%2F..%2Foutside.txt",
            "file={canary}",
            "file={folder}/link.txt",
            "proxy={canary}",
            "deep_link?session_hash=s",
            "stream/a/b/1/playlist.m3u8",
            "custom_component/1/a/component/b",
            "monitoring",
            "../openapi.json",
            "../docs",
            "../monitoring",
        ],
    )
    def test_nothing_else_is_served(self, url, folder, canary, path):
        (folder.parent / "outside.txt").write_text("secret")
        (folder / "link.txt").unlink(missing_ok=True)
        (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
        path = path.format(cwd=os.getcwd(), folder=folder, canary=canary.url)
        response = get(f"{url}gradio_api/{path}" if not path.startswith("../") else f"{url}{path[3:]}")
        assert response.status_code == 404
        assert canary.requests == []

    @pytest.mark.parametrize("path", ["component_server", "process_recording", "run/score", "api/score"])
    def test_nothing_else_takes_requests(self, url, path):
        assert post(f"{url}gradio_api/{path}", json={"data": []}).status_code == 404

    def test_uploads_of_pages_are_not_shown_as_pages(self, url):
        path = upload(url, b"<script>alert(1)</script>", "page.html")
        response = get(f"{url}gradio_api/file={path}")
        assert response.status_code == 200
        assert response.headers["content-disposition"].startswith("attachment")

    def test_nothing_is_taken_for_another_type_than_it_says(self, url, photo):
        path = upload(url, encoded(photo, "PNG"))
        for address in ("", f"gradio_api/file={path}", "gradio_api/file=nope"):
            assert get(f"{url}{address}").headers["x-content-type-options"] == "nosniff"

    def test_a_file_opened_by_itself_runs_nothing(self, url, photo):
        path = upload(url, encoded(photo, "PNG"))
        assert get(f"{url}gradio_api/file={path}").headers["content-security-policy"] == "sandbox"
        assert "content-security-policy" not in get(url).headers

    @pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://localhost:1"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "organisation-dpiqa-demo.hf.space"])
    def test_pages_from_elsewhere_may_not_read_answers(self, url, origin, host):
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        for method, more in (("GET", {}), ("OPTIONS", asked)):
            headers = {"Origin": origin, "Host": host} | more
            answer = httpx.request(method, f"{url}config", headers=headers)
            assert "access-control-allow-origin" not in answer.headers
            assert "access-control-allow-credentials" not in answer.headers

    @pytest.mark.parametrize("path", ["file=%00", "file=/tmp/%00x", "../static/%00", "../assets/%00"])
    def test_names_with_a_zero_byte(self, url, path):
        assert _raw(url, f"GET /gradio_api/{path} HTTP/1.1".replace("gradio_api/../", ""))[0] == 404

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("queue/join", {"data": ["secret.jpg"], "fn_index": -1, "session_hash": "s"}),
            ("queue/join", {"data": ["secret.jpg"], "fn_index": 999, "session_hash": "s"}),
            ("call/nosuch", {"data": ["secret.jpg"]}),
        ],
    )
    def test_events_that_are_not_there(self, url, path, body, capfd):
        assert post(f"{url}gradio_api/{path}", json=body).status_code == 400
        assert "Traceback" not in capfd.readouterr().err

    @pytest.mark.parametrize("path", ["queue/data?session_hash=nobody", "call/score/nosuch"])
    def test_answers_that_nobody_waits_for(self, url, path, caplog):
        assert "not found" in get(f"{url}gradio_api/{path}").text.lower()
        assert len([record for record in caplog.records if record.name.startswith(("dpiqa", "uvicorn"))]) <= 1

    def test_a_path_in_the_log_is_short_and_printable(self, url, caplog):
        assert _raw(url, f"GET /assets/%1b%0d{'a' * 5000} HTTP/1.1")[0] in (400, 404)
        ours = [record.getMessage() for record in caplog.records if record.name == "dpiqa.demo.gate"]
        assert ours
        assert all(message.isprintable() and len(message) < 200 for message in ours)

    @pytest.mark.parametrize("part", ['name="files"; filename=""', 'name="files"', 'name="others"; filename="a.png"'])
    def test_uploads_without_a_name(self, url, part, capfd):
        body = f"--b\r\nContent-Disposition: form-data; {part}\r\n\r\nx\r\n--b--\r\n".encode()
        headers = {"content-type": "multipart/form-data; boundary=b"}
        response = post(f"{url}gradio_api/upload", content=body, headers=headers)
        assert response.status_code in (200, 400)
        assert "Traceback" not in capfd.readouterr().err

    def test_a_malformed_event_is_one_line_in_the_log(self, url, caplog):
        event = next(event for event in get(f"{url}config").json()["dependencies"] if len(event["inputs"]) > 1)
        body = {"data": ["secret.jpg"], "fn_index": event["id"], "session_hash": "one-line"}
        post(f"{url}gradio_api/queue/join", json=body).raise_for_status()
        _messages(url, "one-line")
        ours = [record for record in caplog.records if record.name.startswith("dpiqa")]
        assert [record.getMessage() for record in ours] == ["An event got what it does not take: ValueError"]
        assert ours[0].exc_info is None

    def test_an_event_that_is_for_the_page_alone(self, url, capfd):
        [event] = [event for event in get(f"{url}config").json()["dependencies"] if not event["backend_fn"]]
        body = {"data": [50], "fn_index": event["id"], "session_hash": "page-alone"}
        post(f"{url}gradio_api/queue/join", json=body).raise_for_status()
        assert "This is not what the event takes." in _messages(url, "page-alone")
        assert "no backend method" not in capfd.readouterr().err

    def test_malformed_events_put_no_names_into_the_log(self, url, capfd):
        config = get(f"{url}config").json()
        for event in config["dependencies"]:
            for data in (
                ["secret.jpg"],
                ["secret.jpg"] * len(event["inputs"]),
                [[["secret.jpg"]]],
                [{"a": "secret.jpg"}],
            ):
                session = f"m{event['id']}"
                body = {"data": data, "fn_index": event["id"], "session_hash": session}
                if post(f"{url}gradio_api/queue/join", json=body).status_code == 200:
                    _messages(url, session)
        output = capfd.readouterr()
        assert "secret.jpg" not in output.out + output.err

    def test_names_cannot_lead_out_of_the_temporary_folder(self, url, folder):
        assert Path(upload(url, b"x", "../../../escape.png")).resolve().is_relative_to(folder.resolve())


class TestLimits:
    def test_long_files_are_refused(self, url):
        data = bytes(PUBLIC.max_file_bytes + 1)
        assert post(f"{url}gradio_api/upload", files={"files": data}).status_code == 413

    def test_long_requests_are_refused_before_they_are_read(self, url):
        connection = http.client.HTTPConnection(httpx.URL(url).netloc.decode(), timeout=PATIENCE)
        connection.putrequest("POST", "/gradio_api/upload")
        connection.putheader("Content-Length", str(10**12))
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
        long = {"data": ["x" * PUBLIC.max_request_bytes]}
        assert post(f"{url}gradio_api/call/score", json=long).status_code == 413

    def test_requests_without_a_length_are_refused(self, url):
        assert post(f"{url}gradio_api/upload", content=iter([b"x"])).status_code == 411

    @pytest.mark.parametrize("length", ["5", "300000000", None])
    def test_requests_in_chunks_are_refused(self, url, length):
        head = "POST /gradio_api/queue/join HTTP/1.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"
        status, _ = _raw(url, head + (f"\r\nContent-Length: {length}" if length else ""), b"5\r\n[1,2]\r\n0\r\n\r\n")
        assert status in (400, 411)

    def test_bytes_are_counted_as_they_come(self):
        """By servers that let more through than the length says."""

        async def app(scope, receive, send):
            while (await receive()).get("more_body"):
                pass

        async def receive():
            return {"type": "http.request", "body": bytes(1000), "more_body": True}

        sent = []

        async def send(message):
            sent.append(message)

        headers = [(b"content-length", b"10000")]
        scope = {"type": "http", "method": "POST", "path": "/gradio_api/queue/join", "headers": headers}
        loops.run(gate.Gate(app, PUBLIC)(scope, receive, send))
        assert sent[0]["status"] == 413

    def test_uploads_on_their_way_count(self, monkeypatch, tmp_path):
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        statuses = []
        headers = [(b"content-length", b"1000")]
        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "headers": headers}

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            statuses.append(message.get("status"))

        async def another_meanwhile(scope, receive, send):
            await guarded(scope, receive, send)

        guarded = gate.Gate(another_meanwhile, replace(PUBLIC, max_folder_bytes=1500))
        loops.run(guarded(scope, receive, send))
        assert statuses[0] == 503

    def test_a_full_folder_takes_no_more_uploads_and_results(self, scorer, tmp_path):
        with running(scorer, tmp_path, limits=replace(PUBLIC, max_folder_bytes=0)) as url:
            uploaded = post(f"{url}gradio_api/upload", files={"files": b"x"})
            asked = post(f"{url}gradio_api/call/distort", json={"data": []})
        assert (uploaded.status_code, asked.status_code) == (503, 503)
        assert "try again" in uploaded.text
        assert "try again" in asked.json()["detail"]

    def test_several_uploads_at_once_stay_below_the_limit_together(self, scorer, tmp_path):
        size, limits = 6_000_000, replace(PUBLIC, max_folder_bytes=20_000_000)

        def status(number):
            data = {"files": bytes([number]) * size}
            return post(f"{url}gradio_api/upload", files=data).status_code

        with running(scorer, tmp_path, limits=limits) as url, ThreadPoolExecutor(8) as pool:
            statuses = Counter(pool.map(status, range(8)))
            assert storage.bytes_on_disk() <= limits.max_folder_bytes
        assert set(statuses) <= {200, 503}
        assert statuses[503] >= 5

    def test_small_files_count_as_the_disk_counts_them(self, tmp_path, monkeypatch):
        monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
        for number in range(10):
            (tmp_path / str(number)).write_bytes(b"x")
        assert storage.bytes_on_disk() >= sum(path.stat().st_blocks * 512 for path in tmp_path.iterdir()) > 0

    def test_a_request_has_a_budget_of_pixels(self, url, monkeypatch):
        monkeypatch.setattr(Scorer, "stream", lambda *_, **__: pytest.fail("scored"))
        large = file_data(upload(url, encoded(Image.new("1", (7000, 7000)), "PNG")))
        event, answer = call(url, "rank", [large] * 30)
        assert event == "error"
        assert answer["error"].startswith("These photos have 1,470 megapixels together, and a request may have 360: ")

    def test_an_example_that_is_not_there(self, url):
        assert "There is no such example." in _choose_example(url, 4, "missing")

    def test_the_page_has_that_budget_too(self, url):
        large = file_data(upload(url, encoded(Image.new("1", (7000, 7000)), "PNG")))
        config = get(f"{url}config").json()
        [files] = [part["id"] for part in config["components"] if part["props"].get("elem_id") == "dpiqa-photos"]
        [event] = [event["id"] for event in config["dependencies"] if event["inputs"] == [files]]
        body = {"data": [[large] * 30], "fn_index": event, "session_hash": "budget"}
        post(f"{url}gradio_api/queue/join", json=body).raise_for_status()
        assert "1,470 megapixels together" in _messages(url, "budget")

    @pytest.mark.parametrize("beginning", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: a\r\n"])
    def test_a_connection_without_a_request_is_closed(self, url, beginning, monkeypatch):
        monkeypatch.setattr(connections, "MAX_IDLE", 1)
        with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port), timeout=PROMPT) as connection:
            connection.sendall(beginning)
            assert connection.recv(1000) == b""

    def test_a_connection_between_two_requests_is_closed(self, url, monkeypatch):
        monkeypatch.setattr(connections, "MAX_IDLE", 1)
        with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port), timeout=PROMPT) as connection:
            connection.sendall(b"GET /config HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
            while connection.recv(65536):
                pass

    @pytest.mark.parametrize("path", ["upload", "queue/join"])
    def test_a_request_that_pauses_is_given_up(self, url, path, monkeypatch):
        monkeypatch.setattr(gate, "MAX_PAUSE", 0.5)
        head = f"POST /gradio_api/{path} HTTP/1.1\r\nContent-Length: 1000\r\nContent-Type: "
        for kind in ("multipart/form-data; boundary=b", "application/json"):
            assert 400 <= _raw(url, head + kind, b"--b\r\n", timeout=PROMPT)[0] < 500

    def test_a_request_that_drips_is_given_up(self, url, monkeypatch):
        monkeypatch.setattr(gate, "MAX_ARRIVAL", 1)
        with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port), timeout=PROMPT) as connection:
            head = "POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000"
            connection.sendall(f"{head}\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n".encode())
            connection.sendall(b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n')
            connection.settimeout(0.2)
            answer = b""
            for _ in range(50):
                connection.sendall(b"-")
                try:
                    answer = connection.recv(1000)
                    break
                except TimeoutError:
                    continue
        assert b" 408 " in answer.split(b"\r\n")[0]

    def test_many_pixels_in_a_small_file_are_refused(self, url):
        bomb = encoded(Image.new("1", (8000, 8000)), "PNG")
        assert len(bomb) < 100_000
        _, [answer] = call(url, "score", file_data(upload(url, bomb)))
        assert "more than the 50,000,000 pixels allowed" in answer["error"]

    @pytest.mark.parametrize("format", ["TIFF", "BMP", "GIF", "PPM", "TGA"])
    def test_other_formats_are_refused_whatever_their_name(self, url, photo, format):
        _, [answer] = call(url, "score", file_data(upload(url, encoded(photo, format), "photo.jpg")))
        assert "none of the formats that are read (JPEG, " in answer["error"]

    def test_errors_name_no_path_of_the_server(self, url, folder):
        _, [answer] = call(url, "score", file_data(upload(url, b"hello")))
        assert str(folder) not in answer["error"]

    def test_200_requests_at_once_are_answered_or_politely_refused(self, url, photo):
        data = file_data(upload(url, encoded(photo, "PNG")))

        def answer(_):
            try:
                return call(url, "score", data)[0]
            except httpx.HTTPStatusError as error:
                return f"{error.response.status_code} {error.response.json()['detail'].split('.')[0]}"

        with ThreadPoolExecutor(200) as pool:
            answers = Counter(pool.map(answer, range(200)))
        assert set(answers) <= {"complete", "503 Queue is full"}
        assert answers["complete"] >= limits.MAX_QUEUE

    def test_events_without_a_session_do_not_stop_the_queue(self, scorer, tmp_path, photo, caplog):
        with running(scorer, tmp_path) as url:
            data = file_data(upload(url, encoded(photo, "PNG")))
            for _ in range(5):
                body = {"data": [data], "session_hash": ""}
                assert post(f"{url}gradio_api/call/score", json=body).status_code < 500
            assert call(url, "score", data)[0] == "complete"
        assert "KeyError" not in caplog.text

    def test_clients_that_hang_up_do_not_stop_the_queue(self, scorer, tmp_path, photo):
        with running(scorer, tmp_path) as url:
            data = file_data(upload(url, encoded(photo, "PNG")))
            config = get(f"{url}config").json()
            [event] = [event["id"] for event in config["dependencies"] if event["api_name"] == "score"]

            def leave(number):
                body = {"data": [data], "fn_index": event, "session_hash": f"left{number}"}
                post(f"{url}gradio_api/queue/join", json=body)
                address = f"{url}gradio_api/queue/data?session_hash=left{number}"
                with stream("GET", address) as answer:
                    next(answer.iter_raw())

            with ThreadPoolExecutor(20) as pool:
                list(pool.map(leave, range(60)))
            assert call(url, "score", data)[0] == "complete"

    def test_temporary_files_are_deleted_and_examples_stay(self, scorer, tmp_path, photo):
        with running(scorer, tmp_path / "cleared", limits=replace(PUBLIC, delete_every=1, delete_after=1)) as url:
            _choose_example(url, 0, "before")
            path = Path(upload(url, encoded(photo, "PNG")))
            call(url, "score", file_data(str(path)))
            wait_for(lambda: not path.parent.exists(), seconds=30)  # the app itself clears once a minute
            assert "china.jpg" in _choose_example(url, 0, "after")
            assert (tmp_path / "cleared" / "examples" / "china.jpg").is_file()

    def test_files_of_uploads_that_failed_are_deleted(self, scorer, tmp_path):
        """gradio knows nothing of them."""
        head = "POST /gradio_api/upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: "
        part = b'--b\r\nContent-Disposition: form-data; name="%s"; filename="a.png"\r\n\r\nxxxx'
        folder = tmp_path / "cleared"
        with running(scorer, folder, limits=replace(PUBLIC, delete_every=1, delete_after=1)) as url:
            examples = storage.files_now()
            other = part % b"others" + b"\r\n--b--\r\n"
            assert _raw(url, f"{head}{len(other)}", other)[0] == 200
            with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port)) as connection:
                connection.sendall(f"{head}1000\r\nHost: a\r\n\r\n".encode() + part % b"files")
                time.sleep(0.5)
            strays = list(folder.glob("tmp*"))
            assert len(strays) == 2
            wait_for(lambda: not any(stray.exists() for stray in strays), seconds=30)
            assert storage.files_now() == examples


@pytest.fixture(scope="module")
def own_url(scorer, tmp_path_factory):
    with running(scorer, tmp_path_factory.mktemp("local"), limits=LOCAL) as url:
        yield url


class TestOnOnesOwnMachine:
    def test_more_photos_and_pixels_are_taken_than_in_public(self, own_url, monkeypatch):
        asked = []
        monkeypatch.setattr(Scorer, "stream", lambda _, paths, **__: asked.extend(paths) or [Score(0.5)] * len(paths))
        large = file_data(upload(own_url, encoded(Image.new("1", (7000, 7000)), "PNG")))
        assert call(own_url, "rank", [large] * 40)[0] == "complete"
        assert len(asked) == 40

    def test_the_page_says_what_it_takes(self, own_url):
        texts = str(get(f"{own_url}config").json()["components"])
        assert "Up to 1,000 photos" in texts
        assert "at most 500 MB and 200 megapixels. Photos stay on this machine" in texts

    @pytest.mark.parametrize("path", ["gradio_api/file=/etc/passwd", "gradio_api/proxy=http://a", "openapi.json"])
    def test_it_is_as_closed_as_in_public(self, own_url, path):
        assert get(f"{own_url}{path}").status_code == 404
        assert call(own_url, "score", file_data("/etc/passwd"))[1]["error"] == REFUSED


def test_a_long_ranking_shows_the_best():
    ranked = [scored_uploads.ScoredUpload(Upload(f"{i}.jpg", f"{i}.jpg"), Score(0.5)) for i in range(1200)]
    assert views.ranking_notes(ranked, 100) == "<p>The best 100 of 1,200 photos are shown. The CSV has all.</p>"
    assert views.ranking_notes(ranked[:100], 100) == ""


def test_a_file_name_cannot_become_markup():
    upload = Upload("a.jpg", "<img src=x onerror=alert(1)>.jpg")
    scored = scored_uploads.ScoredUpload(upload, Score(float("nan"), error="<script>"))
    for html in (views.ranking_notes([scored], 1), views.score_card(scored, 0.9)):
        assert "<img" not in html
        assert "<script" not in html


class TestScoring:
    def test_the_table_is_that_of_the_command(self, scorer, photo_file):
        from dpiqa.demo.app import _write_csv

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("GRADIO_TEMP_DIR", str(photo_file.parent))
            path = _write_csv(scored_uploads.rank_uploads(scorer, [Upload(str(photo_file), "china.png")]))
        [row] = csv.DictReader(Path(path).read_text().splitlines())
        assert row["path"] == "china.png"
        assert float(row["score"]) == pytest.approx(scorer(photo_file).score, abs=1e-5)

    def test_a_teacher_scores_without_a_map(self, photo_file, tiny_processor):
        scorer = Scorer(teachers.teacher(), tiny_processor, dtype="float32")
        uploads = [Upload(str(photo_file), "china.png")]
        [scored] = scored_uploads.score_uploads(scorer, uploads, return_map=True)
        assert scored.score.error is None
        assert scored_uploads.map_overlay(scorer, scored) is None
        assert "of 1, higher is better" in views.score_card(scored, 0.9)

    def test_the_interval_says_what_it_covers(self):
        scored = scored_uploads.ScoredUpload(
            Upload("a.jpg", "a.jpg"), Score(0.5, interval=(0.25, 0.75), width=1, height=1)
        )
        assert "<b>0.25</b> to <b>0.75</b> for 80 % of such photos" in views.score_card(scored, 0.8)

    def test_the_colours_of_the_map_are_explained(self, url):
        texts = " ".join(str(part["props"].get("value")) for part in get(f"{url}config").json()["components"])
        assert "<b>purple</b> is a low local quality" in texts
        legend = views.map_legend((0.1, 0.85))
        assert "bad: 0.10 or less" in legend
        assert "good: 0.85 or more" in legend

    @pytest.mark.parametrize(("after", "effect"), [(0.25, "takes 0.500 away"), (0.8, "adds 0.050")])
    def test_the_effect_of_a_distortion_is_said(self, after, effect):
        picture = Image.new("RGB", (32, 32))
        card = views.curve_card(scored_uploads.DistortedPhoto(picture, Score(0.75), Score(after), []))
        assert f"Without distortion it is <b>0.750</b>: the distortion {effect}." in card

    def test_the_ranking_of_the_endpoint_opens_photos_once(self, scorer, photo_file, monkeypatch):
        monkeypatch.setattr(scored_uploads, "open_preview", lambda *_: pytest.fail("opened for the screen"))
        [scored] = scored_uploads.rank_uploads(scorer, [Upload(str(photo_file), "china.png")])
        assert scored.row()["error"] is None

    def test_ranking_reads_photos_in_batches(self, scorer, photo_file, monkeypatch):
        monkeypatch.setattr(Scorer, "__call__", lambda *_: pytest.fail("photo by photo"))
        uploads = [Upload(str(photo_file), name) for name in ("a.png", "b.png")]
        assert [item.name for item in scored_uploads.rank_uploads(scorer, uploads)] == ["a.png", "b.png"]

    def test_the_bundled_student_comes_with_its_card(self):
        assert "## Limits" in card_text(Scorer.from_pretrained())

    @pytest.fixture
    def hub_model(self, tmp_path, tiny_checkpoint, monkeypatch):
        """A scorer from the Hub's cache, whose repository has no card yet."""
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        (tiny_checkpoint / "README.md").unlink(missing_ok=True)
        commit = add_to_cache(tmp_path / "cache", "org/tiny", tiny_checkpoint)
        scorer = Scorer.from_pretrained("org/tiny")
        return scorer, tmp_path / "cache" / "models--org--tiny" / "snapshots" / commit

    def test_a_model_of_the_hub_comes_with_its_card(self, hub_model):
        scorer, snapshot = hub_model
        (snapshot / "README.md").write_text("---\nlicense: mit\n---\n# A tiny student")
        assert card_text(scorer).strip() == "# A tiny student"

    def test_a_model_without_a_card(self, hub_model):
        assert card_text(hub_model[0]) == "The model is `org/tiny`; no model card came with it."


class TestCommand:
    @pytest.fixture
    def served(self, monkeypatch):
        calls = []
        monkeypatch.setattr("dpiqa.demo.serve", lambda model, **options: calls.append((model, options)))
        return calls

    def test_it_serves_the_app(self, served):
        assert CliRunner().invoke(app, ["demo", "--port", "7000"], env={"DPIQA_MODEL": None}).exit_code == 0
        assert served == [(None, {"host": None, "port": 7000})]

    def test_the_model_comes_from_the_environment(self, served):
        CliRunner().invoke(app, ["demo"], env={"DPIQA_MODEL": "some/teacher"})
        assert served[0][0] == "some/teacher"

    @pytest.mark.parametrize("port", ["0", "99999", "-1", "web"])
    def test_a_port_that_cannot_be_is_status_2(self, served, port):
        result = CliRunner().invoke(app, ["demo", "--port", port])
        assert result.exit_code == 2
        assert served == []

    def test_a_taken_port_is_one_sentence(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            result = subprocess.run(
                [sys.executable, "-m", "dpiqa", "demo", "--port", str(port)],
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
        assert result.returncode == 2
        output = " ".join((result.stdout + result.stderr).replace("│", " ").split())
        assert f"Invalid value for --host or --port: Port {port} is taken on 127.0.0.1: choose another one." in output
        assert "GRADIO" not in output.upper()
        assert "Traceback" not in output

    def test_a_missing_model_is_status_2(self, tmp_path):
        result = CliRunner().invoke(app, ["demo", "--model", str(tmp_path / "none")])
        assert result.exit_code == 2
        assert "Traceback" not in result.output


_ERROR_FIELDS = {"duration": 10, "visible": True, "title": "Error"}


@pytest.fixture
def canary():
    """A web server on loopback that nobody should ask for anything."""

    class Canary(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments): ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canary) as server:
        server.requests = []
        server.url = f"http://127.0.0.1:{server.server_port}/photo.png"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _raw(url, head, body=b"", timeout=PATIENCE):
    """Sends a request as it stands; returns the status and the whole answer."""
    host, port = httpx.URL(url).host, httpx.URL(url).port
    with socket.create_connection((host, port), timeout=timeout) as connection:
        connection.sendall(f"{head}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode() + body)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return int(answer.split()[1]), answer


def _choose_example(url, number, session):
    """Clicks on an example; returns what the page gets."""
    config = get(f"{url}config").json()
    [examples] = [part["id"] for part in config["components"] if part["props"].get("elem_id") == "dpiqa-examples"]
    [event] = [event["id"] for event in config["dependencies"] if event["inputs"] == [examples]]
    body = {"data": [number], "fn_index": event, "session_hash": session}
    post(f"{url}gradio_api/queue/join", json=body).raise_for_status()
    return _messages(url, session)


def _messages(url, session):
    with stream("GET", f"{url}gradio_api/queue/data?session_hash={session}") as answer:
        text = ""
        for chunk in answer.iter_text():
            text += chunk
            if "process_completed" in text:
                return text
    return text
