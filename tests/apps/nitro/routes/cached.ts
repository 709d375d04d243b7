let made = 0;

export default defineEventHandler(() => ({ made: ++made }));
