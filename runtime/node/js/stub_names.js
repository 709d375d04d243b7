// The names of the modules of Node.js that only say that they are not there, as Node.js 20 exports them.

(function () {
"use strict";

// Functions by module.
const FUNCTIONS = {
  __proto__: null,
  child_process: "exec execFile execFileSync execSync fork spawn spawnSync",
  cluster: "disconnect fork setupMaster setupPrimary",
  dgram: "createSocket",
  dns:
    "getDefaultResultOrder getServers lookup lookupService resolve resolve4 resolve6 resolveAny resolveCaa " +
    "resolveCname resolveMx resolveNaptr resolveNs resolvePtr resolveSoa resolveSrv resolveTxt reverse " +
    "setDefaultResultOrder setServers",
  "dns/promises":
    "getDefaultResultOrder getServers lookup lookupService resolve resolve4 resolve6 resolveAny resolveCaa " +
    "resolveCname resolveMx resolveNaptr resolveNs resolvePtr resolveSoa resolveSrv resolveTxt reverse " +
    "setDefaultResultOrder setServers",
  domain: "create createDomain",
  fs:
    "access accessSync appendFile appendFileSync chmod chmodSync chown chownSync close closeSync copyFile " +
    "copyFileSync cp cpSync createReadStream createWriteStream fchmod fchmodSync fchown fchownSync fdatasync " +
    "fdatasyncSync fstat fstatSync fsync fsyncSync ftruncate ftruncateSync futimes futimesSync lchown lchownSync " +
    "link linkSync lstat lstatSync lutimes lutimesSync mkdir mkdirSync mkdtemp mkdtempSync open openAsBlob " +
    "openSync opendir opendirSync read readFile readFileSync readSync readdir readdirSync readlink readlinkSync " +
    "readv readvSync realpath realpathSync rename renameSync rm rmSync rmdir rmdirSync stat statSync statfs " +
    "statfsSync symlink symlinkSync truncate truncateSync unlink unlinkSync unwatchFile utimes utimesSync watch " +
    "watchFile write writeFile writeFileSync writeSync writev writevSync",
  "fs/promises":
    "access appendFile chmod chown copyFile cp lchmod lchown link lstat lutimes mkdir mkdtemp open opendir " +
    "readFile readdir readlink realpath rename rm rmdir stat statfs symlink truncate unlink utimes watch " +
    "writeFile",
  http2:
    "connect createSecureServer createServer getDefaultSettings getPackedSettings getUnpackedSettings " +
    "performServerHandshake",
  inspector: "close open url waitForDebugger",
  "inspector/promises": "close open url waitForDebugger",
  net:
    "connect createConnection createServer getDefaultAutoSelectFamily getDefaultAutoSelectFamilyAttemptTimeout " +
    "setDefaultAutoSelectFamily setDefaultAutoSelectFamilyAttemptTimeout",
  readline: "clearLine clearScreenDown createInterface cursorTo emitKeypressEvents moveCursor",
  "readline/promises": "createInterface",
  repl: "isValidSyntax start writer",
  tls:
    "checkServerIdentity connect convertALPNProtocols createSecureContext createSecurePair createServer " +
    "getCiphers",
  trace_events: "createTracing getEnabledCategories",
  v8:
    "cachedDataVersionTag deserialize getHeapCodeStatistics getHeapSnapshot getHeapSpaceStatistics " +
    "getHeapStatistics queryObjects serialize setFlagsFromString setHeapSnapshotNearHeapLimit stopCoverage " +
    "takeCoverage writeHeapSnapshot",
  vm:
    "compileFunction createContext createScript isContext measureMemory runInContext runInNewContext " +
    "runInThisContext",
  worker_threads:
    "getEnvironmentData markAsUntransferable moveMessagePortToContext postMessageToThread receiveMessageOnPort " +
    "setEnvironmentData",
};

const METHODS =
  "ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY " +
  "OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK " +
  "UNLOCK UNSUBSCRIBE";
const STATUSES = {
  __proto__: null,
  100: "Continue",
  101: "Switching Protocols",
  102: "Processing",
  103: "Early Hints",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  208: "Already Reported",
  226: "IM Used",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  305: "Use Proxy",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Payload Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  418: "I'm a Teapot",
  421: "Misdirected Request",
  422: "Unprocessable Entity",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  506: "Variant Also Negotiates",
  507: "Insufficient Storage",
  508: "Loop Detected",
  509: "Bandwidth Limit Exceeded",
  510: "Not Extended",
  511: "Network Authentication Required",
};
const FS = {
  __proto__: null,
  UV_FS_SYMLINK_DIR: 1,
  UV_FS_SYMLINK_JUNCTION: 2,
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  UV_DIRENT_UNKNOWN: 0,
  UV_DIRENT_FILE: 1,
  UV_DIRENT_DIR: 2,
  UV_DIRENT_LINK: 3,
  UV_DIRENT_FIFO: 4,
  UV_DIRENT_SOCKET: 5,
  UV_DIRENT_CHAR: 6,
  UV_DIRENT_BLOCK: 7,
  EXTENSIONLESS_FORMAT_JAVASCRIPT: 0,
  EXTENSIONLESS_FORMAT_WASM: 1,
  S_IFMT: 61440,
  S_IFREG: 32768,
  S_IFDIR: 16384,
  S_IFCHR: 8192,
  S_IFBLK: 24576,
  S_IFIFO: 4096,
  S_IFLNK: 40960,
  S_IFSOCK: 49152,
  O_CREAT: 64,
  O_EXCL: 128,
  UV_FS_O_FILEMAP: 0,
  O_NOCTTY: 256,
  O_TRUNC: 512,
  O_APPEND: 1024,
  O_DIRECTORY: 65536,
  O_NOATIME: 262144,
  O_NOFOLLOW: 131072,
  O_SYNC: 1052672,
  O_DSYNC: 4096,
  O_DIRECT: 16384,
  O_NONBLOCK: 2048,
  S_IRWXU: 448,
  S_IRUSR: 256,
  S_IWUSR: 128,
  S_IXUSR: 64,
  S_IRWXG: 56,
  S_IRGRP: 32,
  S_IWGRP: 16,
  S_IXGRP: 8,
  S_IRWXO: 7,
  S_IROTH: 4,
  S_IWOTH: 2,
  S_IXOTH: 1,
  F_OK: 0,
  R_OK: 4,
  W_OK: 2,
  X_OK: 1,
  UV_FS_COPYFILE_EXCL: 1,
  COPYFILE_EXCL: 1,
  UV_FS_COPYFILE_FICLONE: 2,
  COPYFILE_FICLONE: 2,
  UV_FS_COPYFILE_FICLONE_FORCE: 4,
  COPYFILE_FICLONE_FORCE: 4,
};

// Errors of dns: E and the name.
const DNS =
  "ADDRGETNETWORKPARAMS BADFAMILY BADFLAGS BADHINTS BADNAME BADQUERY BADRESP BADSTR CANCELLED CONNREFUSED DESTRUCTION " +
  "FILE FORMERR LOADIPHLPAPI NODATA NOMEM NONAME NOTFOUND NOTIMP NOTINITIALIZED REFUSED SERVFAIL TIMEOUT";

return { DNS, FS, FUNCTIONS, METHODS, STATUSES };
})
