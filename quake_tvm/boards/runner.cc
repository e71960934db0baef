// Runs a model that quake_tvm exported, with TVM's runtime only: no Python, no compiler.
//
//     model_runner MODEL.so [INPUT=FILE] [DIMENSION=NUMBER]
//
// FILE has the input's raw bytes (numpy's `array.tofile`). Inputs without a file are zeros; dynamic
// dimensions without a number are 1.
#include <tvm/ffi/container/tensor.h>
#include <tvm/ffi/extra/json.h>
#include <tvm/ffi/extra/module.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace ffi = tvm::ffi;

struct Memory {  // on the addresses that compiled kernels load whole vectors from
  void AllocData(DLTensor* tensor) {
    size_t size = (ffi::GetDataSize(*tensor) / 64 + 1) * 64;
    tensor->data = std::aligned_alloc(64, size);
    if (!tensor->data) throw std::runtime_error("not enough memory for the inputs");
    std::memset(tensor->data, 0, size);
  }
  void FreeData(DLTensor* tensor) { std::free(tensor->data); }
};

// The extent that was given for a dimension; 1 if none was.
int64_t Extent(const std::string& name, const std::string& number) {
  char* end = nullptr;
  int64_t extent = number.empty() ? 1 : std::strtoll(number.c_str(), &end, 10);
  if (extent < 0 || (end && *end))
    throw std::runtime_error(name + " takes a number, not " + number);
  return extent;
}

// Raises where the bytes of a tensor, some of them behind its end, are more than can be counted.
void CheckSize(const std::string& name, const std::vector<int64_t>& shape) {
  int64_t most = int64_t{1} << 40;
  for (int64_t extent : shape) {
    if (extent > most) throw std::runtime_error(name + " is too large for memory");
    most /= std::max<int64_t>(extent, 1);
  }
}

// Raises for a word that is no input and no dimension, and for a dimension out of its range.
void CheckWords(const ffi::json::Object& model, std::map<std::string, std::string> given) {
  std::set<std::string> known;
  for (const ffi::Any& input : model["inputs"].cast<ffi::json::Array>()) {
    auto described = input.cast<ffi::json::Object>();
    known.insert(described["name"].cast<ffi::String>());
    for (const ffi::Any& size : described["shape"].cast<ffi::json::Array>())
      if (auto open = size.try_cast<ffi::String>()) known.insert(*open);
  }
  for (const auto& word : given)
    if (!known.count(word.first))
      throw std::runtime_error("the model has no input and no dimension " + word.first);
  for (const auto& limits : model["ranges"].cast<ffi::json::Object>()) {
    std::string name = limits.first.cast<ffi::String>();
    auto range = limits.second.cast<ffi::json::Array>();
    auto most = range[1].try_cast<int64_t>();
    int64_t least = range[0].cast<int64_t>(), extent = Extent(name, given[name]);
    if (extent < least || (most && extent > *most))
      throw std::runtime_error(
          name + " is " + std::to_string(extent) + " and takes " + std::to_string(least) +
          (most ? " to " + std::to_string(*most) : " or more"));
  }
}

ffi::Tensor Input(const ffi::json::Object& described, std::map<std::string, std::string> given) {
  std::string name = described["name"].cast<ffi::String>();
  std::vector<int64_t> shape;
  for (const ffi::Any& size : described["shape"].cast<ffi::json::Array>()) {
    auto open = size.try_cast<ffi::String>();
    shape.push_back(open ? Extent(*open, given[*open]) : size.cast<int64_t>());
  }
  CheckSize(name, shape);
  DLDataType dtype = ffi::StringToDLDataType(described["dtype"].cast<ffi::String>());
  auto tensor = ffi::Tensor::FromNDAlloc(Memory(), ffi::Shape(shape), dtype, {kDLCPU, 0});
  if (given.count(name)) {
    std::ifstream file(given[name], std::ios::binary);
    auto size = static_cast<std::streamsize>(ffi::GetDataSize(tensor.numel(), dtype));
    if (!file.read(static_cast<char*>(tensor.data_ptr()), size) || file.peek() != EOF)
      throw std::runtime_error(name + " takes a file of " + std::to_string(size) + " bytes");
  }
  return tensor;
}

void Print(const ffi::Any& result) {
  auto tensor = result.try_cast<ffi::Tensor>();
  if (!tensor) {
    for (const ffi::Any& item : result.cast<ffi::Array<ffi::Any>>()) Print(item);
    return;
  }
  std::string dtype = ffi::DLDataTypeToString(tensor->dtype());
  std::printf("%s (", dtype.c_str());
  for (int64_t size : tensor->shape()) std::printf(" %lld", static_cast<long long>(size));
  std::printf(" ):");
  for (int64_t i = 0; i < std::min<int64_t>(tensor->numel(), 8); ++i) {
    if (dtype == "float32") std::printf(" %.9g", static_cast<float*>(tensor->data_ptr())[i]);
    if (dtype == "int64") std::printf(" %lld", static_cast<long long*>(tensor->data_ptr())[i]);
  }
  std::printf("\n");
}

// Raises for a library that is cut off: it ends with a seal and a digest, as it was exported.
void CheckSeal(const char* path) {
  std::string seal = "quake_tvm seal 2", end(seal.size(), ' ');
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string("cannot read ") + path);
  file.seekg(-static_cast<std::streamoff>(seal.size() + 32), std::ios::end);
  if (!file.read(&end[0], end.size()) || end != seal)
    throw std::runtime_error(std::string(path) + " is no whole model: copy or export it again");
}

int main(int count, char** words) try {
  if (count < 2) throw std::runtime_error("give a model: model_runner MODEL.so [INPUT=FILE]");
  std::map<std::string, std::string> given;
  for (int i = 2; i < count; ++i) {
    std::string word = words[i];
    given[word.substr(0, word.find('='))] = word.substr(word.find('=') + 1);
  }
  CheckSeal(words[1]);
  ffi::Module library = ffi::Module::LoadFromFile(words[1]);
  auto machine = library->GetFunction("vm_load_executable").value()().cast<ffi::Module>();
  auto function = [&](const char* name) { return machine->GetFunction(name).value(); };
  function("vm_initialization")(static_cast<int>(kDLCPU), 0, /* a pool of memory */ 2);
  auto description = ffi::json::Parse(function("quake_description")().cast<ffi::String>());
  CheckWords(description.cast<ffi::json::Object>(), given);
  auto inputs = description.cast<ffi::json::Object>()["inputs"].cast<ffi::json::Array>();
  std::vector<ffi::Any> arguments;
  for (const ffi::Any& input : inputs)
    arguments.push_back(Input(input.cast<ffi::json::Object>(), given));
  std::vector<ffi::AnyView> views(arguments.begin(), arguments.end());
  ffi::Any result;
  std::vector<double> times;
  for (int i = 0; i < 11; ++i) {
    auto start = std::chrono::steady_clock::now();
    function("main").CallPacked(views.data(), static_cast<int>(views.size()), &result);
    std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
    times.push_back(passed.count());
  }
  Print(result);
  std::sort(times.begin(), times.end());
  std::printf("%.3f ms a call (median of %zu)\n", times[times.size() / 2], times.size());
} catch (const std::exception& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 2;
}
