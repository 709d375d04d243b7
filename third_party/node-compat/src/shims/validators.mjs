import { validate } from "internal/errors";
export const validateObject = validate.object;
export const validateString = validate.string;
