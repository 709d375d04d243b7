export default function Late() {
  return <b>loaded late</b>;
}
