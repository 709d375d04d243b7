export const items = [{ id: 1, name: "first & foremost" }];
