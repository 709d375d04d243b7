// Strings, arrays and maps cross in both directions, and the host is called.
declare function log(message: string): void;

export function count(text: string): string[] {
  const counts = new Map<string, i32>();
  const words = text.toLowerCase().split(" ");
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    counts.set(word, counts.has(word) ? counts.get(word) + 1 : 1);
  }
  log(`${words.length} words`);
  const keys = counts.keys().sort();
  return keys.map<string>((key: string) => `${key}=${key.length}`);
}

export function primes(limit: i32): i32 {
  const composite = new Uint8Array(limit + 1);
  let found = 0;
  for (let i = 2; i <= limit; i++) {
    if (unchecked(composite[i])) continue;
    found++;
    for (let j = i * 2; j <= limit; j += i) unchecked((composite[j] = 1));
  }
  return found;
}

export function fail(): void {
  throw new Error("as it should");
}
