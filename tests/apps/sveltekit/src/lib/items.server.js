const items = new Map([["1", { id: "1", name: "first & foremost" }]]);

export const all = () => [...items.values()];
export const find = (id) => items.get(id);
export const add = (name) => items.set(String(items.size + 1), { id: String(items.size + 1), name });
