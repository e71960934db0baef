// TVM's RPC server without Python: one session at a time, each in a process and a folder of its own.
//
//     board                               accepts every client
//     board TRACKER_ADDRESS PORT KEY      registers with a tracker under a key
//
// Prints the loopback port that it listens on. Ends when its standard input is closed, which the
// process that started it keeps open. Its session ends with it, also if it is killed. Sessions have
// their folders in the current folder.
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <optional>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>

namespace ffi = tvm::ffi;
namespace fs = std::filesystem;

constexpr int32_t kMagic = 0xff271, kMismatch = kMagic + 2, kTrackerMagic = 0x2f271;
enum Question { kPut = 3, kUpdateInfo = 5, kPendingKeys = 7 };  // to a tracker, in its JSON
constexpr int kHandshake = 10;  // seconds that a client has for the handshake
constexpr int kPeriod = 1000;   // milliseconds between two queries of the tracker

void Send(int socket, const void* data, size_t size) {
  if (send(socket, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size))
    throw std::runtime_error("connection lost");
}

void Receive(int socket, void* data, size_t size) {
  if (size && recv(socket, data, size, MSG_WAITALL) != static_cast<ssize_t>(size))
    throw std::runtime_error("connection lost");
}

void SendText(int socket, const std::string& text) {
  int32_t size = text.size();
  Send(socket, &size, sizeof size);
  Send(socket, text.data(), text.size());
}

std::string ReceiveText(int socket) {
  int32_t size;
  Receive(socket, &size, sizeof size);
  if (size < 0 || size > 1 << 20) throw std::runtime_error("not a client of TVM's");
  std::string text(size, 0);
  Receive(socket, text.data(), text.size());
  return text;
}

sockaddr_in Address(const char* host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

// A board's entry at a tracker, which hands it out with a password for one session.
class Listing {
 public:
  Listing(const char* host, int tracker, std::string key, int port) : key_(key), port_(port) {
    sockaddr_in address = Address(host, tracker);
    int32_t magic = kTrackerMagic;
    socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address))
      throw std::runtime_error("no such tracker");
    Send(socket_, &magic, sizeof magic);
    Receive(socket_, &magic, sizeof magic);
    std::ostringstream info;
    info << R"(, {"key": )" << std::quoted("server:" + key) << R"(, "addr": [null, )" << port
         << "]}";
    Ask(kUpdateInfo, info.str());
    Renew();
  }

  const std::string& password() const { return password_; }

  void Renew() {
    std::ostringstream offer;
    password_ = key_ + ":0." + std::to_string(random_());
    offer << ", " << std::quoted(key_) << ", [" << port_ << ", " << std::quoted(password_)
          << "], null";
    Ask(kPut, offer.str());
    unclaimed_ = 0;
  }

  // Call once per period without a session: a client may have requested the board and not come.
  void Check() {
    bool listed = Ask(kPendingKeys, "").find(password_) != std::string::npos;
    unclaimed_ = listed ? 0 : unclaimed_ + 1;
    if (unclaimed_ > kHandshake) Renew();
  }

 private:
  std::string Ask(Question question, const std::string& about) {
    SendText(socket_, "[" + std::to_string(question) + about + "]");
    return ReceiveText(socket_);
  }

  std::string key_, password_;
  int port_, socket_, unclaimed_ = 0;
  std::random_device random_;
};

struct Session {
  pid_t process;
  int alive;  // reads end of file when the process has ended, in any way
  std::string folder;
};

// Runs in the session's process.
void Serve(int client, const std::string& password) {
  alarm(kHandshake);
  int32_t magic;
  Receive(client, &magic, sizeof magic);
  if (magic != kMagic) throw std::runtime_error("not a client of TVM's");
  std::istringstream words(ReceiveText(client));
  std::string name, option;
  words >> name >> option;
  bool welcome = password.empty() || name == "client:" + password;
  magic = welcome ? kMagic : kMismatch;
  Send(client, &magic, sizeof magic);
  if (!welcome) return;
  SendText(client, "server:" + password.substr(0, password.rfind(':')));
  const std::string timeout = "-timeout=";
  bool limited = option.compare(0, timeout.size(), timeout) == 0;
  alarm(limited ? std::ceil(std::atof(option.c_str() + timeout.size())) : 0);

  auto path = [](std::string name) { return fs::absolute(name).string(); };
  auto load = [](std::string name) { return ffi::Module::LoadFromFile(fs::absolute(name).string()); };
  ffi::Function::SetGlobal("tvm.rpc.server.workpath", ffi::Function::FromTyped(path));
  ffi::Function::SetGlobal("tvm.rpc.server.load_module", ffi::Function::FromTyped(load));
  ffi::Function::GetGlobalRequired("rpc.ServerLoop")(client);
}

Session Begin(int listening, const std::string& password) {
  char folder[] = "session-XXXXXX";
  int ends[2];
  int client = accept(listening, nullptr, nullptr);
  if (!mkdtemp(folder) || pipe(ends)) throw std::runtime_error("no folder or pipe for a session");
  pid_t process = fork();
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int unused : {listening, ends[0], STDIN_FILENO}) close(unused);
    int status = 0;
    try {
      fs::current_path(folder);
      Serve(client, password);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "board: %s\n", error.what());
      status = 1;
    }
    _exit(status);
  }
  close(ends[1]);
  close(client);
  return {process, ends[0], folder};
}

void End(const Session& session) {
  std::error_code ignored;
  kill(session.process, SIGKILL);
  waitpid(session.process, nullptr, 0);
  close(session.alive);
  fs::remove_all(session.folder, ignored);
}

void Run(int argc, char** argv) {
  int listening = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
  sockaddr_in address = Address("127.0.0.1", 0);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  // Frees the port as soon as this process ends, even if clients are still connected.
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listening, generic, size) || listen(listening, 8) ||
      getsockname(listening, generic, &size))
    throw std::runtime_error("no port to listen on");
  int port = ntohs(address.sin_port);
  std::optional<Listing> listing;
  std::optional<Session> session;
  if (argc == 4) listing.emplace(argv[1], std::atoi(argv[2]), argv[3], port);
  std::printf("%d\n", port);
  std::fflush(stdout);
  for (;;) {
    pollfd watched[] = {{STDIN_FILENO, POLLIN, 0}, {session ? session->alive : listening, POLLIN, 0}};
    int news = poll(watched, 2, listing && !session ? kPeriod : -1);
    if (watched[0].revents) break;
    if (news == 0) {
      listing->Check();
    } else if (session) {
      End(*session);
      session.reset();
      if (listing) listing->Renew();
    } else {
      session = Begin(listening, listing ? listing->password() : "");
    }
  }
  if (session) End(*session);
  std::error_code ignored;
  fs::remove(fs::current_path(), ignored);  // a folder made for this board is empty now
}

int main(int argc, char** argv) {
  try {
    Run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "board: %s\n", error.what());
    return 1;
  }
}
