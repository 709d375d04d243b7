//! CommonJS modules as ES modules: the code becomes the body of a function that runs at the first `require`, and a second
//! module stands before it for those who `import` it.

use std::collections::BTreeSet;
use std::fmt::Write;

/// The function by which a wrapped module is run; its value is `module.exports`.
const RUN: &str = "__atoll_require";

/// What a `require` of a wrapped module leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Required {
    /// Another wrapped module, at this specifier.
    CommonJs(String),
    /// An ES module: its namespace, which says so (`__esModule`) when it has a default export, as in Node.js.
    EsModule(String),
    /// A JSON, text, data, WebAssembly or built-in module: its default export.
    Asset(String),
    /// Nothing: `require` throws this message.
    Missing(String),
}

/// What a `require` of an ES module gives. It looks at no binding, which may not have its value yet.
const OF_ES_MODULE: &str = "var __atoll_spaces;function __atoll_es(space){\
    if(\"module.exports\"in space)return space[\"module.exports\"];\
    if(!(\"default\"in space)||\"__esModule\"in space)return space;\
    var made=(__atoll_spaces??=new Map()).get(space);if(made)return made;\
    __atoll_spaces.set(space,made=Object.defineProperty({},\"__esModule\",{value:true}));\
    for(const name of Reflect.ownKeys(space))if(typeof name===\"string\")\
    Object.defineProperty(made,name,{enumerable:true,get:()=>space[name]});return made}";

/// Wraps `code`, whose bundle name is `name` and whose literal `require`s lead to `requires`. What comes before the code
/// stands on its first line, so that line numbers stay as they are.
pub fn wrap(name: &str, code: &str, requires: &[(String, Required)], node_env: &str) -> String {
    let mut imports = String::new();
    let mut table = String::new();
    for (index, (specifier, required)) in requires.iter().enumerate() {
        let key = js_string(specifier);
        let _ = match required {
            Required::CommonJs(target) => {
                let _ = write!(imports, "import{{{RUN} as __atoll_{index}}}from{};", js_string(target));
                write!(table, "{key}:()=>__atoll_{index}(),")
            }
            Required::EsModule(target) => {
                let _ = write!(imports, "import*as __atoll_{index} from{};", js_string(target));
                write!(table, "{key}:()=>__atoll_es(__atoll_{index}),")
            }
            Required::Asset(target) => {
                let _ = write!(imports, "import __atoll_{index} from{};", js_string(target));
                write!(table, "{key}:()=>__atoll_{index},")
            }
            Required::Missing(message) => write!(table, "{key}:()=>{{throw new Error({})}},", js_string(message)),
        };
    }
    let has_es_module = requires.iter().any(|(_, required)| matches!(required, Required::EsModule(_)));
    let of_es_module = if has_es_module { OF_ES_MODULE } else { "" };
    let code = match code.strip_prefix("#!") {
        Some(rest) => &rest[rest.find('\n').unwrap_or(rest.len())..],
        None => code,
    };
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (file, folder) = (js_string(&format!("/{name}")), js_string(&format!("/{folder}")));
    let node_env = js_string(node_env);
    format!(
        "{imports}var __atoll_table,__atoll_module;{of_es_module}\
         function __atoll_find(specifier){{var found=(__atoll_table??={{__proto__:null,{table}}})[specifier];\
         if(!found)throw new Error(\"Cannot find module '\"+specifier+\"'\");return found()}}\
         export function {RUN}(){{if(__atoll_module)return __atoll_module.exports;\
         __atoll_module={{exports:{{}}}};try{{__atoll_body.call(__atoll_module.exports,__atoll_module.exports,\
         __atoll_module,__atoll_find,{file},{folder},globalThis.process??{{env:{{NODE_ENV:{node_env}}}}},globalThis)}}\
         catch(error){{__atoll_module=undefined;throw error}}return __atoll_module.exports}}\
         function __atoll_body(exports,module,require,__filename,__dirname,process,global){{{{{code}\n}}}}\n"
    )
}

/// The module that ES modules import in place of the wrapped one at `target`: its default export is `module.exports`
/// (or its `default`, when it says that it was an ES module once), and `names` are its properties.
pub fn facade(target: &str, names: &BTreeSet<String>) -> String {
    let mut out = format!(
        "import{{{RUN}}}from{};const __atoll_exports={RUN}();\
         export default __atoll_exports?.__esModule&&\"default\" in __atoll_exports?__atoll_exports.default:__atoll_exports;\n",
        js_string(target)
    );
    for (index, name) in names.iter().filter(|name| *name != "default" && *name != "__esModule").enumerate() {
        let name = js_string(name);
        let _ = writeln!(out, "const __atoll_{index}=__atoll_exports?.[{name}];export{{__atoll_{index} as {name}}};");
    }
    out
}

/// JSON with named exports, for those who import some of its properties by name.
pub fn json_module(json: &str, names: &BTreeSet<String>) -> String {
    // U+2028 and U+2029 are line breaks in no string since ES2019, so JSON is an expression.
    let mut out = format!("const __atoll_exports={};export default __atoll_exports;\n", json.trim());
    for (index, name) in names.iter().filter(|name| *name != "default").enumerate() {
        let name = js_string(name);
        let _ = writeln!(out, "const __atoll_{index}=__atoll_exports?.[{name}];export{{__atoll_{index} as {name}}};");
    }
    out
}

/// `text` as a string literal.
pub fn js_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}
