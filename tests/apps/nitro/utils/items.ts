export const items = new Map([["1", { id: "1", name: "first & foremost" }]]);

export const shout = (text: string) => text.toUpperCase();
