export default defineEventHandler(() => {
  throw new Error("not for strangers");
});
