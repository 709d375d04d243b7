export default defineEventHandler(async () => {
  const storage = useStorage("memory");
  await storage.setItem("a:b", { kept: [1, 2] });
  return { keys: await storage.getKeys("a"), value: await storage.getItem("a:b"), asset: await useStorage("assets:server").getItem("note.txt") };
});
