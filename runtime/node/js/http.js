// node:http. Requests are sent by `fetch`, and servers answer what a fetch handler hands them.

(function (require) {
"use strict";

const { Agent, ClientRequest, http } = require("internal/http_client");
const { IncomingMessage, OutgoingMessage, validateHeaderName, validateHeaderValue } = require("internal/http_messages");
const { Server, ServerResponse, createServer } = require("internal/http_server");
const { METHODS, STATUSES } = require("internal/stub_names");

return {
  Agent,
  ClientRequest,
  IncomingMessage,
  METHODS: METHODS.split(" "),
  OutgoingMessage,
  STATUS_CODES: STATUSES,
  Server,
  ServerResponse,
  createServer,
  ...http,
  globalAgent: new Agent(),
  maxHeaderSize: 16384,
  setMaxIdleHTTPParsers() {},
  validateHeaderName,
  validateHeaderValue,
};
})
