module.exports = require("process");
