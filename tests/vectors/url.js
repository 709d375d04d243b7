// The vectors of the URL standard and of the URL Pattern standard.

const different = (got, wanted) => (got === wanted ? null : `${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

// `urltestdata.json`: what parsing an input against a base gives.
export async function parsing(vectors, test) {
  for (const vector of vectors) {
    if (typeof vector === "string") continue;
    const name = vector.base === null ? `<${vector.input}>` : `<${vector.input}> against <${vector.base}>`;
    await test(name, () => {
      const parsed = URL.parse(vector.input, vector.base ?? undefined);
      if (vector.failure) return parsed === null ? null : `is ${parsed.href} instead of a failure`;
      if (parsed === null) return "fails";
      if (!URL.canParse(vector.input, vector.base ?? undefined)) return "canParse says no";
      for (const part of PARTS) {
        const problem = vector[part] === undefined ? null : different(parsed[part], vector[part]);
        if (problem) return `${part}: ${problem}`;
      }
      return null;
    });
  }
}

// `setters_tests.json`: what setting a part gives.
export async function setters(vectors, test) {
  for (const [part, list] of Object.entries(vectors)) {
    if (part === "comment") continue;
    for (const { href, new_value: value, expected } of list) {
      await test(`<${href}> .${part} = '${value}'`, () => {
        const url = new URL(href);
        url[part] = value;
        for (const [name, wanted] of Object.entries(expected)) {
          const problem = different(url[name], wanted);
          if (problem) return `${name}: ${problem}`;
        }
        return null;
      });
    }
  }
}

const COMPONENTS = ["protocol", "username", "password", "hostname", "port", "pathname", "search", "hash"];

// The groups of a component as JSON: undefined values are null in the vectors.
const groups = (result) => {
  const list = Object.entries(result?.groups ?? {}).map(([name, value]) => [name, value ?? null]);
  return JSON.stringify([result?.input ?? null, list.sort()]);
};

// `urlpatterntestdata.json`: patterns, what they are made of, and what they match.
export async function patterns(vectors, test) {
  for (const vector of vectors) {
    const name = `${JSON.stringify(vector.pattern)} on ${JSON.stringify(vector.inputs ?? null)}`;
    await test(name, () => {
      let pattern;
      try {
        pattern = new URLPattern(...vector.pattern);
      } catch (error) {
        return vector.expected_obj === "error" && error instanceof TypeError ? null : `throws ${error.name}`;
      }
      if (vector.expected_obj === "error") return "is a pattern instead of an error";
      for (const component of COMPONENTS) {
        const wanted = vector.expected_obj?.[component];
        const problem = wanted === undefined ? null : different(pattern[component], wanted);
        if (problem) return `${component}: ${problem}`;
      }
      if (vector.inputs === undefined) return null;
      let match;
      try {
        match = pattern.exec(...vector.inputs);
      } catch (error) {
        return vector.expected_match === "error" && error instanceof TypeError ? null : `exec throws ${error.name}`;
      }
      if (vector.expected_match === "error") return "exec does not throw";
      if (pattern.test(...vector.inputs) !== (match !== null)) return "test() and exec() differ";
      if (vector.expected_match === null || match === null) return different(match === null, vector.expected_match === null);
      for (const component of COMPONENTS) {
        const wanted = vector.expected_match[component];
        const problem = wanted === undefined ? null : different(groups(match[component]), groups(wanted));
        if (problem) return `${component}: ${problem}`;
      }
      return null;
    });
  }
}
