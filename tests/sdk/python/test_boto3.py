"""boto3's bedrock-runtime against the gateway: its own dialect, and through it other providers."""

import json
import os
import unittest
import urllib.request

import boto3
import botocore.exceptions
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from gateway import KEY, TEXT, TOKENS_IN, TOKENS_OUT, URL, WEATHER, WEATHER_ARGUMENTS

MODEL = "bedrock/us.anthropic.claude-mock-v1:0"
MODELS = [MODEL, "openai/mock", "anthropic/mock", "ringway/echo"]
# What the suite's configuration signs with.
SECRET = os.environ["SDK_UPSTREAM_KEY"]


def client(key=KEY):
    config = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    return boto3.client(
        "bedrock-runtime", region_name="us-east-1", endpoint_url=URL, aws_access_key_id=key, aws_secret_access_key="never-looked-at", config=config
    )


def user(text):
    return [{"role": "user", "content": [{"text": text}]}]


def tools():
    return {"tools": [{"toolSpec": {"name": "weather", "description": "tells the weather", "inputSchema": {"json": WEATHER}}}]}


class Converse(unittest.TestCase):
    def setUp(self):
        self.client = client()

    def test_whole(self):
        for model in MODELS:
            with self.subTest(model):
                answer = self.client.converse(modelId=model, messages=user(TEXT), system=[{"text": "be short"}], inferenceConfig={"maxTokens": 64})
                self.assertEqual(answer["output"]["message"]["content"][0]["text"], TEXT)
                self.assertEqual(answer["stopReason"], "end_turn")
                if model != "ringway/echo":
                    self.assertEqual((answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]), (TOKENS_IN, TOKENS_OUT))

    def test_stream(self):
        for model in MODELS:
            with self.subTest(model):
                events = list(self.client.converse_stream(modelId=model, messages=user(TEXT))["stream"])
                text = "".join(event["contentBlockDelta"]["delta"].get("text", "") for event in events if "contentBlockDelta" in event)
                self.assertEqual(text, TEXT)
                self.assertEqual([next(iter(event)) for event in events][-2:], ["messageStop", "metadata"])
                self.assertGreater(events[-1]["metadata"]["usage"]["totalTokens"], 0)

    def test_tools(self):
        for model in MODELS[:3]:
            with self.subTest(model):
                answer = self.client.converse(modelId=model, messages=user("use a tool"), toolConfig=tools())
                call = answer["output"]["message"]["content"][0]["toolUse"]
                self.assertEqual((call["name"], call["input"], answer["stopReason"]), ("weather", WEATHER_ARGUMENTS, "tool_use"))
                result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"sunny": True}}], "status": "success"}}
                turns = [*user("use a tool"), answer["output"]["message"], {"role": "user", "content": [result]}]
                self.assertEqual(self.client.converse(modelId=model, messages=turns, toolConfig=tools())["stopReason"], "end_turn")

    def test_streamed_tools(self):
        for model in MODELS[:3]:
            with self.subTest(model):
                events = list(self.client.converse_stream(modelId=model, messages=user("use tools"), toolConfig=tools())["stream"])
                starts = [event["contentBlockStart"]["start"]["toolUse"] for event in events if "contentBlockStart" in event]
                arguments = {}
                for event in events:
                    if "contentBlockDelta" in event:
                        delta = event["contentBlockDelta"]
                        arguments.setdefault(delta["contentBlockIndex"], []).append(delta["delta"].get("toolUse", {}).get("input", ""))
                self.assertEqual([start["name"] for start in starts], ["weather", "weather"])
                self.assertEqual([json.loads("".join(parts)) for parts in arguments.values() if any(parts)], [WEATHER_ARGUMENTS] * 2)

    def test_thinking(self):
        extra = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
        for model in (MODEL, "anthropic/mock"):
            with self.subTest(model):
                answer = self.client.converse(
                    modelId=model, messages=user("hello"), inferenceConfig={"maxTokens": 4096}, additionalModelRequestFields=extra
                )
                thought = answer["output"]["message"]["content"][0]["reasoningContent"]["reasoningText"]
                self.assertTrue(thought["text"] and thought["signature"])


class Invoke(unittest.TestCase):
    BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 64, "messages": [{"role": "user", "content": TEXT}]})

    def test_whole_and_streamed(self):
        for model in MODELS:
            with self.subTest(model):
                whole = json.loads(client().invoke_model(modelId=model, body=self.BODY)["body"].read())
                self.assertEqual((whole["content"][0]["text"], whole["stop_reason"]), (TEXT, "end_turn"))
                stream = client().invoke_model_with_response_stream(modelId=model, body=self.BODY)["body"]
                events = [json.loads(event["chunk"]["bytes"]) for event in stream]
                text = "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
                self.assertEqual((text, events[-1]["type"]), (TEXT, "message_stop"))
                self.assertIn("inputTokenCount", events[-1].get("amazon-bedrock-invocationMetrics", {"inputTokenCount": 0}))


class Errors(unittest.TestCase):
    def test_classes(self):
        for model, status, code in [
            ("bedrock-429", 429, "ThrottlingException"),
            ("bedrock-too-long", 400, "ValidationException"),
            ("openai-too-long", 400, "ValidationException"),
            ("nobody-serves-this", 404, "ResourceNotFoundException"),
        ]:
            with self.subTest(model), self.assertRaises(botocore.exceptions.ClientError) as raised:
                client().converse(modelId=model, messages=user("hello"))
            response = raised.exception.response
            self.assertEqual((response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]), (status, code), model)
            self.assertTrue(response["Error"]["Message"])

    def test_unknown_key(self):
        with self.assertRaises(botocore.exceptions.ClientError) as raised:
            client("no-such-key-0123456789").converse(modelId=MODEL, messages=user("hello"))
        self.assertEqual(raised.exception.response["Error"]["Code"], "UnrecognizedClientException")

    def test_broken_streams(self):
        for model in ("bedrock-cut", "bedrock-inband"):
            with self.subTest(model), self.assertRaises(botocore.exceptions.EventStreamError) as raised:
                list(client().converse_stream(modelId=model, messages=user("hello"))["stream"])
            self.assertEqual(raised.exception.response["Error"]["Code"], "modelStreamErrorException", model)


class Signatures(unittest.TestCase):
    def test_the_gateway_signs_as_botocore_does(self):
        mock = os.environ["MOCK_URL"]
        urllib.request.urlopen(urllib.request.Request(f"{mock}/_log", method="DELETE")).read()
        client().converse(modelId=MODEL, messages=user("hello"))
        sent = json.load(urllib.request.urlopen(f"{mock}/_log"))
        sent = (sent if isinstance(sent, list) else sent["requests"])[-1]
        headers = sent["headers"]
        request = AWSRequest("POST", mock + sent["path"], data=sent["body"].encode())
        request.context["timestamp"] = headers["x-amz-date"]
        request.headers["X-Amz-Date"] = headers["x-amz-date"]
        signer = SigV4Auth(Credentials("AKIDSUITE", SECRET), "bedrock", "us-east-1")
        signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
        self.assertTrue(headers["authorization"].endswith(f"Signature={signature}"), headers["authorization"])
        self.assertNotIn(KEY, json.dumps(sent))


if __name__ == "__main__":
    unittest.main()
