// Results of cases as text that is the same wherever the cases run.

function property(key, value, depth) {
  return `${typeof key === "symbol" ? String(key) : key}: ${show(value, depth + 1)}`;
}

export function show(value, depth = 0) {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `[function ${value.name}]`;
  if (Object.is(value, -0)) return "-0";
  if (value === null || typeof value !== "object") return String(value);
  if (depth > 6) return "…";
  if (value instanceof Error) return `${value.name} ${value.code ?? ""}: ${value.message}`;
  if (value instanceof Uint8Array) {
    let hex = "";
    for (const byte of value) hex += byte.toString(16).padStart(2, "0");
    return `<${hex}>`;
  }
  if (Array.isArray(value)) return `[${value.map((item) => show(item, depth + 1)).join(", ")}]`;
  if (value instanceof Map) return `Map[${[...value].map((item) => show(item, depth + 1)).join(", ")}]`;
  if (value instanceof Set) return `Set[${[...value].map((item) => show(item, depth + 1)).join(", ")}]`;
  if (value instanceof Date) return `Date ${value.getTime()}`;
  return `{${Reflect.ownKeys(value).map((key) => property(key, value[key], depth)).join(", ")}}`;
}

// A case that waits for what never comes fails by itself, not with all others.
async function settled(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("it never ends")), 20_000);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

// What each case answers, by module and by the text of its function.
export async function answers(cases, load) {
  const result = {};
  for (const [module, list] of Object.entries(cases)) {
    const exports = await load(module);
    result[module] = {};
    for (const run of list) {
      let answer;
      try {
        answer = show(await settled(run(exports)));
      } catch (error) {
        answer = `throws ${show(error)}`;
      }
      result[module][String(run).replace(/\s+/g, " ")] = answer;
    }
  }
  return result;
}
