export function loader() {
  throw new Error("not for strangers");
}

export default () => null;
