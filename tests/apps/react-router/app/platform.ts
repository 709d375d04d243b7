import { createContext } from "react-router";

/** What the worker was called with. */
export const platform = createContext<{ env: { GREETING: string }; ctx: ExecutionContext }>();
