# The libraries, and what `make install` puts in place.
foreach(o ${WENGERT_OBJECTS})
    list(APPEND ALL_OBJECTS $<TARGET_OBJECTS:${o}>)
endforeach()
find_package(Threads REQUIRED)
set(WENGERT_LINK m Threads::Threads ${CMAKE_DL_LIBS})

# The shared library: nothing leaves it but wg_ names, each with a version.
add_library(wengert SHARED ${ALL_OBJECTS})
target_link_libraries(wengert PRIVATE ${WENGERT_LINK})
target_link_options(wengert PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/wengert.map -Wl,--no-undefined -Wl,-Bsymbolic-functions
    -Wl,-z,nodelete)
set_target_properties(wengert PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/wengert.map)
if(WENGERT_SANITIZE)
    set_target_properties(wengert PROPERTIES LINK_OPTIONS "-fsanitize=${WENGERT_SANITIZE};-Wl,-z,nodelete")
endif()

# Tests look inside: the same objects, every name visible.
add_library(wengert_internal STATIC ${ALL_OBJECTS})
target_link_libraries(wengert_internal PUBLIC ${WENGERT_LINK})
target_include_directories(wengert_internal PUBLIC ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src)

# The static library for users: one object in which only wg_ names are global.
set(ONE ${CMAKE_BINARY_DIR}/wengert_one.o)
add_custom_command(OUTPUT ${ONE}
    COMMAND ${CMAKE_C_COMPILER} -r -nostdlib -o ${ONE}.all -Wl,--whole-archive $<TARGET_FILE:wengert_internal>
            -Wl,--no-whole-archive
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=wg_[!_]* ${ONE}.all ${ONE}
    DEPENDS wengert_internal VERBATIM COMMENT "One object, only wg_ names")
add_library(wengert_static STATIC ${ONE})
set_target_properties(wengert_static PROPERTIES LINKER_LANGUAGE C OUTPUT_NAME wengert)
target_link_libraries(wengert_static INTERFACE ${WENGERT_LINK})

foreach(t wengert wengert_static)
    target_include_directories(${t} INTERFACE $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()

install(TARGETS wengert wengert_static EXPORT wengert LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/wengert DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(EXPORT wengert NAMESPACE wengert:: FILE wengert-targets.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wengert)
include(CMakePackageConfigHelpers)
configure_package_config_file(cmake/wengert-config.cmake.in ${CMAKE_BINARY_DIR}/wengert-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wengert)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/wengert-config-version.cmake COMPATIBILITY SameMinorVersion)
file(RELATIVE_PATH WENGERT_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/wengert.pc.in ${CMAKE_BINARY_DIR}/wengert.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/wengert-config.cmake ${CMAKE_BINARY_DIR}/wengert-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/wengert)
install(FILES ${CMAKE_BINARY_DIR}/wengert.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
