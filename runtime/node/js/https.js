// node:https. A server is one of node:http: encryption ends before the worker.

(function (require) {
"use strict";

const { SecureAgent, https } = require("internal/http_client");
const { Server, createServer } = require("internal/http_server");

return { Agent: SecureAgent, Server, createServer, ...https, globalAgent: new SecureAgent() };
})
